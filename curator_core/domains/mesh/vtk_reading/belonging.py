"""Files that belong to a file, so that it has changed when one of them has."""

from __future__ import annotations

import hashlib
import html
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from curator_core.domains.mesh.vtk_reading.listed import BLOCKS, SERIES, blocks_of, steps_of
from curator_core.domains.mesh.vtk_reading.openfoam import CASES, case_folder, times_in
from curator_core.domains.mesh.vtk_reading.readers import ENSIGHT, suffix_of
from curator_core.sources.local_folder import stat_fingerprint

_PARALLEL: Final = (".pvtu", ".pvtp", ".pvts", ".pvtr", ".pvti")
_NAMING: Final = frozenset((*_PARALLEL, *BLOCKS, *SERIES, *ENSIGHT, *CASES, ".obj"))
"""Kinds of files that name others."""
_PIECE: Final = re.compile(r"""<Piece\b[^>]*?\bSource\s*=\s*["']([^"']*)""")
_CASE_LINE: Final = re.compile(r"^\s*(?:model|measured|match|boundary|rigid_body)\s*:\s*(.*)$|^.*\bper\b[^:]*:(.*)$")
_START: Final = 1 << 16
"""Bytes of an OBJ file that are searched for its materials."""


def _named(path: Path, suffix: str) -> Iterator[Path]:
    """Files that a file names; of an OpenFOAM case, all of its mesh and times."""
    if suffix in _PARALLEL:
        text = path.read_text(encoding="utf-8", errors="replace")
        yield from (path.parent / html.unescape(name) for name in _PIECE.findall(text))
    elif suffix in BLOCKS:
        yield from blocks_of(path).values()
    elif suffix in SERIES:
        for step in steps_of(path):
            yield from step.members.values()
    elif suffix in ENSIGHT:
        yield from _ensight(path)
    elif suffix == ".obj":
        with path.open("rb") as file:
            text = file.read(_START).decode(errors="replace")
        yield from (path.parent / name.strip() for name in re.findall(r"^mtllib\s+(.+)$", text, re.MULTILINE))
    elif suffix in CASES:
        yield from openfoam_files(path)


def of_members(members: Iterable[Path]) -> Iterator[Path]:
    """Files that a file lists, and what belongs to each; what cannot be read fails as an item, with its reason."""
    waiting, seen = list(members), set[Path]()
    while waiting:
        member = waiting.pop()
        if member in seen:
            continue
        seen.add(member)
        yield member
        suffix = suffix_of(member.name)
        if suffix in _NAMING and member.is_file():
            with suppress(OSError, ValueError):
                waiting.extend(_named(member, suffix))


def openfoam_files(path: Path, time: str | None = None) -> Iterator[Path]:
    """Files of the mesh of a case, and of its times, or of one of them; those of its processors, too."""
    case = case_folder(path)
    for folder in (case, *sorted(case.glob("processor[0-9]*"))):
        for name in ("constant", *sorted(times_in(folder) if time is None else {time})):
            for parent, _, names in os.walk(folder / name):
                yield from (Path(parent) / file for file in names)


def _ensight(path: Path) -> Iterator[Path]:
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        found = _CASE_LINE.match(line.partition("#")[0])
        for word in (found[1] or found[2]).split() if found else ():
            name = word.strip('"')
            if re.fullmatch(r"[-+0-9.eE]+", name):  # numbers of time and file sets, and frequencies
                continue
            pattern = name.replace("*", "[0-9]")
            yield from path.parent.glob(pattern) if "*" in name else [path.parent / name]


def fingerprint(path: Path, suffix: str) -> str | None:
    """Size, modification time and inode of a file, with a digest of those of what belongs to it, if something does."""
    own, files = stat_fingerprint(path), list(of_members(_named(path, suffix)))
    return own if own is None or not files else f"{own}-{digest_of(files, path.parent)}"


def digest_of(files: Iterable[Path], folder: Path) -> str:
    """Digest of paths as seen from a folder, and of sizes, modification times and inodes: all may move together."""
    digest = hashlib.sha256()
    for name, file in sorted((os.path.relpath(file, folder), file) for file in set(files)):
        digest.update(f"{name}\0{stat_fingerprint(file)}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:32]
