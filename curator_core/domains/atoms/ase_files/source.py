"""Source of atomic structures: folders of files that ASE reads."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

import numpy as np
from ase import Atoms
from ase.io.formats import get_ioformat
from ase.io.jsonio import decode, encode
from ase.utils import string2index

from curator_core.domains.atoms.ase_files.databases import DATABASES
from curator_core.domains.atoms.ase_files.formats import format_of, require_format
from curator_core.domains.atoms.ase_files.frames import FramedText, Frames, Rows, Trajectory, WholeFile
from curator_core.domains.atoms.ase_files.framing import FRAMINGS, CutOffError
from curator_core.errors import ConfigError
from curator_core.pipeline.annotations import SECRET, UNRECORDED
from curator_core.sources.files import FileItem, FileSource
from curator_core.sources.local_folder import stat_fingerprint

logger = logging.getLogger("curator")

_PLAIN: Final = (str, bool, int, float, np.ndarray)
_CONSTRAINTS: Final = ("CONTCAR", "POSCAR")
"""Files beside an OUTCAR, of which ASE takes the constraints."""
_OF_ROWS: Final = ("unique_id", "key_value_pairs", "data")


class ASEFileSource(FileSource[Atoms]):
    """Structures from files of every format that ASE reads: extxyz, traj, cif, VASP, LAMMPS, db, ….

    A structure is what ``ase.io.read`` gives, with the results of its calculator; rows of databases have
    ``unique_id``, ``key_value_pairs`` and ``data`` in ``Atoms.info``, too. Files packed as ``.gz``, ``.bz2`` or ``.xz``
    are read as ASE reads them. Nothing is written beside the input.

    A file that ends within a structure is an item that fails, and so is the output of a program that did not come to
    its end, where the format shows it: ASE stops silently at the last whole structure of many formats, and leaves out
    the atoms that are missing in others. All frames of an XYZ file are read, also those after a blank line, where ASE
    stops.

    Parameters
    ----------
    root
        Folder to search, sub-folders included; a path, or a URL, see `FileSource`.
    pattern
        Glob pattern of the file names.
    format
        ASE's name of the format of all files, such as ``lammps-data``; by default that of each file, by its name and
        its first bytes.
    frames_per_index
        Structures that are one item, at least 1: ``md.extxyz#000000-000099``. By default a file is one. Files of
        formats that hold a single structure are not divided.
    index
        Which structures of a file are read, as in ASE: ``-1`` for the last one, ``"::10"`` for every tenth; not
        together with `frames_per_index`.
    unfinished
        ``fail``: a file that ends too early is an item that fails. ``keep``: its whole structures are kept, which is
        logged.
    last_line
        ``ended``: text whose last line has no end is taken as cut off, as its last number may have lost digits, unless
        what it ends with shows that it is whole. ``any``: it is taken as whole.
    options
        Further arguments of ASE's reader, such as ``{"style": "charge"}`` of ``lammps-data``; they need `format`.
    storage_options
        Credentials and the like for a URL, by obstore's names; otherwise, those of the environment.
    cache_size
        How much is kept of what was downloaded; see `CURATOR_DOWNLOAD_CACHE_SIZE`.

    Raises
    ------
    ConfigError
        ASE reads no such format, or arguments exclude each other.

    Notes
    -----
    To list blocks, text of XYZ files and LAMMPS dumps is scanned once, of trajectories and databases only the head is
    read. Files of other formats are read completely to be listed, and from their beginning for every block.

    Constraints of a VASP ``OUTCAR`` are those of a ``CONTCAR`` or ``POSCAR`` beside it, which is ASE's way; when these
    change, its item is due again. What calculators hold besides their results, such as eigenvalues and settings, is no
    part of a dataset of structures.
    """

    name: ClassVar[str] = "ase_file"
    description: ClassVar[str] = "Structures from files of every format that ASE reads"
    checks_arguments: ClassVar[bool] = True

    def __init__(
        self,
        root: str,
        pattern: str = "*",
        format: str | None = None,  # noqa: A002 - as ASE calls it
        frames_per_index: int | None = None,
        *,
        index: str | int | None = None,
        unfinished: Literal["fail", "keep"] = "fail",
        last_line: Literal["ended", "any"] = "ended",
        options: Mapping[str, Any] | None = None,
        storage_options: Annotated[Mapping[str, str | bool | int] | None, SECRET] = None,
        cache_size: Annotated[int | str | None, UNRECORDED] = None,
    ) -> None:
        super().__init__(root, pattern, storage_options=storage_options, cache_size=cache_size)
        if format is not None:
            require_format(format, self.name)
        elif options:
            raise ConfigError(f"{self.name}: options= are those of one reader; say which one with format=.")
        if frames_per_index is not None and frames_per_index < 1:
            raise ConfigError(f"{self.name}: frames_per_index must be at least 1, got {frames_per_index!r}.")
        if frames_per_index is not None and index is not None:
            raise ConfigError(f"{self.name}: index= and frames_per_index= exclude each other; leave one out.")
        self._format, self._frames_per_index = format, frames_per_index
        self._index = None if index is None else _slice_of(index, self.name)
        self._keeps, self._needs_end = unfinished == "keep", last_line == "ended"
        self._options = dict(options or {})
        self._formats: dict[str, str] = {}  # of divided files: recognising one takes 10 ms

    def file_fingerprint(self, path: Path) -> str | None:
        """Size, modification time and inode of a file; of an OUTCAR, and of the files that have its constraints."""
        own = super().file_fingerprint(path)
        if own is None or (self._format != "vasp-out" and (self._format is not None or "OUTCAR" not in path.name)):
            return own
        beside = [stat_fingerprint(path.parent / name) for name in _CONSTRAINTS]
        return "-".join([own, *(found or "none" for found in beside)]) if any(beside) else own

    def splits(self) -> bool:
        return self._frames_per_index is not None

    def split(self, file: FileItem) -> list[FileItem]:
        """Blocks of structures, where they are asked for."""
        size = self._frames_per_index
        frames = self._frames(file)
        if size is None or get_ioformat(frames.format).single:
            return [file]
        starts = []
        try:
            for number, position in enumerate(frames.positions()):
                if number % size == 0:
                    starts.append(position)
        except CutOffError:  # of the last block: reading it says so
            pass
        if not starts:  # reading it says why
            return [file]
        if len(starts) > 1:
            self._formats[str(file.path)] = frames.format
        # The last block is named for the structures it has room for: its key stays when some are added
        return [
            file.part(f"{number * size:06d}-{(number + 1) * size - 1:06d}", start, stop)
            for number, (start, stop) in enumerate(zip(starts, [*starts[1:], None], strict=True))
        ]

    def read(self, item: FileItem) -> Iterator[Atoms]:
        """Yield the structures of a file or block in their order."""
        frames = self._frames(item)
        found = frames.read(item.start, item.stop) if self._index is None else frames.chosen(self._index)
        n_read = 0
        try:
            for atoms in found:
                yield _kept(atoms)
                n_read += 1
        except CutOffError as exc:
            what = "; the structures before can be kept with unfinished='keep'" if n_read else ""
            if not self._keeps:
                raise CutOffError(f"as {frames.format}, after {n_read} structures: {exc}{what}") from exc
            logger.warning("%s: %s: %d structures are kept of it: %s", self.name, item.place, n_read, exc)
        except Exception as exc:
            kind = "" if type(exc) is ValueError else f"{type(exc).__name__}: "
            raise ValueError(f"as {frames.format}, after {n_read} structures: {kind}{exc}") from exc
        else:
            if not n_read and self._index is None:
                raise ValueError(f"as {frames.format}, ASE finds no structure in it; give another with format=")

    def _frames(self, item: FileItem) -> Frames:
        found = self._format or self._formats.get(str(item.path)) or format_of(item.path)
        kind: type[Frames] = WholeFile
        if found in FRAMINGS:
            kind = FramedText
        elif found == "traj":
            kind = Trajectory
        elif found in DATABASES:
            kind = Rows
        return kind(item.path, found, self._options, self._needs_end)


def _slice_of(index: str | int, where: str) -> slice:
    try:
        found = string2index(index) if isinstance(index, str) else index
    except ValueError:
        found = str(index)
    if isinstance(found, int):
        return slice(found, found + 1 or None)
    if not isinstance(found, slice) or (found.step or 1) < 1:
        raise ConfigError(f"{where}: index={index!r} chooses no structures; write -1, '::10' or '100:'.")
    return found


def _kept(atoms: Atoms) -> Atoms:
    """The structure with what a dataset gives back in place of space groups, NumPy's scalars and the like."""
    for key, value in atoms.info.items():
        if not isinstance(value, _PLAIN) and key not in _OF_ROWS:
            try:
                atoms.info[key] = decode(encode(value), always_array=False)
            except TypeError as exc:
                raise ValueError(f"info {key!r} holds a {type(value).__name__}, which cannot be kept") from exc
    results = atoms.calc.results if atoms.calc is not None else {}
    results.update({key: value.item() for key, value in results.items() if isinstance(value, np.generic)})
    return atoms
