"""Whether files are whole of which ASE returns what it finds."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final, TypeAlias

from curator_core.domains.atoms.ase_files.framing import CutOffError

_EON_HEAD: Final = 9
_Check: TypeAlias = Callable[[Iterable[bytes], int], str | None]
"""What is wrong, given all lines of a file and the number of structures that were read."""


def require_whole(file_format: str, lines: Iterable[bytes], n_frames: int) -> None:
    """Raise `CutOffError` where a file ends too early.

    Parameters
    ----------
    file_format
        ASE's name of its format; those without a rule are taken as they are.
    lines
        All of the file.
    n_frames
        How many structures ASE read of it.
    """
    check = _CHECKS.get(file_format)
    reason = check(lines, n_frames) if check is not None else None
    if reason is not None:
        raise CutOffError(reason)


def _says(words: bytes, program: str) -> _Check:
    def check(lines: Iterable[bytes], n_frames: int) -> str | None:  # noqa: ARG001 - as the others
        if any(words in line for line in lines):
            return None
        return f"it ends without {words.decode()!r}, so it is cut off, or {program} did not come to its end"

    return check


def _counts(pattern: bytes) -> _Check:
    begins = re.compile(pattern)

    def check(lines: Iterable[bytes], n_frames: int) -> str | None:
        n_begun, last = 0, b""
        for last in lines:
            n_begun += begins.search(last) is not None
        if n_begun != n_frames:
            return f"it has {n_begun} structures, of which {n_frames} can be read"
        return None if last.endswith(b"\n") else "it ends within a line"

    return check


def _ends_with(pattern: bytes) -> _Check:
    whole = re.compile(pattern)

    def check(lines: Iterable[bytes], n_frames: int) -> str | None:  # noqa: ARG001 - as the others
        (last,) = deque(lines, maxlen=1) or (b"",)
        return None if whole.search(last) else "it ends within a structure"

    return check


def _protein_data_bank(lines: Iterable[bytes], n_frames: int) -> str | None:
    n_after, n_ends = 0, 0
    for line in lines:
        if line.startswith(b"END"):
            n_after, n_ends = 0, n_ends + 1
        elif line.startswith((b"ATOM", b"HETATM")):
            n_after += 1
    return f"{n_after} atoms stand after its last END" if n_ends and n_after and n_frames else None


def _eon(lines: Iterable[bytes], n_frames: int) -> str | None:  # noqa: ARG001 - as the others
    remaining = iter(lines)
    while head := list(islice(remaining, _EON_HEAD)):
        if len(head) < _EON_HEAD:
            return "it ends within the head of a structure" if any(line.strip() for line in head) else None
        n_lines = 2 * int(head[6]) + sum(map(int, head[7].split()))
        if len(list(islice(remaining, n_lines))) < n_lines:
            return "it ends within a structure"
    return None


def _cif(lines: Iterable[bytes], n_frames: int) -> str | None:
    n_blocks, is_counted = 0, False
    for line in lines:
        text = line.lstrip().lower()
        if text.startswith(b"data_"):
            is_counted = False
        elif text.startswith((b"_cell_length_a", b"_cell.length_a", b"_atom_site_", b"_atom_site.")) and not is_counted:
            n_blocks, is_counted = n_blocks + 1, True
    return None if n_blocks <= n_frames else f"it has {n_blocks} blocks with a cell, of which {n_frames} have atoms"


_CHECKS: Final[dict[str, _Check]] = {
    "aims-output": _says(b"Have a nice day", "FHI-aims"),
    "castep-geom": _ends_with(rb"^\s*\n$"),
    "castep-md": _ends_with(rb"^\s*\n$"),
    "cif": _cif,
    "dmol-arc": _counts(rb"^!DATE"),
    "eon": _eon,
    "espresso-out": _says(b"JOB DONE", "Quantum ESPRESSO"),
    "gaussian-out": _says(b"Normal termination of Gaussian", "Gaussian"),
    "nwchem-out": _says(b"Total times", "NWChem"),
    "orca-output": _says(b"ORCA TERMINATED NORMALLY", "ORCA"),
    "proteindatabank": _protein_data_bank,
    "runnerdata": _counts(rb"^\s*end\b"),
    "vasp-out": _says(b"General timing and accounting", "VASP"),
    "vasp-xdatcar": _counts(rb"Direct configuration="),
    "vasp-xml": _says(b"</modeling>", "VASP"),
    "xsf": _ends_with(rb"\n$"),
}
