"""Structures of a file that ASE reads: where they are, and some of them."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from ase import Atoms
from ase.io import iread
from ase.io.formats import get_ioformat
from ase.io.trajectory import TrajectoryReader

from curator_core.domains.atoms.ase_files.databases import open_database, rows_of
from curator_core.domains.atoms.ase_files.endings import require_last_line, require_whole
from curator_core.domains.atoms.ase_files.formats import unpacked
from curator_core.domains.atoms.ase_files.framing import FRAMINGS, CutOffError
from curator_core.domains.atoms.ase_files.trajectories import require_end, require_trajectory

_ALL = slice(None)


T = TypeVar("T")


@dataclass(frozen=True)
class Frames(ABC):
    """The structures of a file.

    Whoever reads to the end gets a `CutOffError` after the last whole one, where the file ends too early.
    """

    path: Path
    """The file, or a copy of it."""
    format: str
    """ASE's name of its format."""
    options: Mapping[str, Any]
    """For ASE's reader."""
    needs_end: bool = True
    """Whether a last line of text without its end is taken as cut off."""

    @abstractmethod
    def positions(self) -> Iterator[int]:
        """Where each begins: its number, or in text its first byte."""

    @abstractmethod
    def read(self, start: int = 0, stop: int | None = None) -> Iterator[Atoms]:
        """Those between two positions."""

    def chosen(self, index: slice) -> Iterator[Atoms]:
        """Some of them, in the order of the file."""
        known, cut = _until_cut(self.positions())
        for number in range(len(known))[index]:
            is_last = number + 1 == len(known)
            yield from self.read(known[number], None if is_last else known[number + 1])
        if cut is not None:
            raise cut


class FramedText(Frames):
    """A file of text whose frames are found by `FRAMINGS`, and read by ASE one by one."""

    def positions(self) -> Iterator[int]:
        with unpacked(self.path) as file:
            for position, _ in self._framed(file, 0):
                yield position

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[Atoms]:
        with unpacked(self.path) as file:
            file.seek(start)
            for position, lines in self._framed(file, start):
                if stop is not None and position >= stop:
                    return
                text = io.StringIO(b"".join(lines).decode(), newline=None)
                yield from iread(text, _ALL, self.format, parallel=False, **self.options)

    def _framed(self, file: BinaryIO, start: int) -> Iterator[tuple[int, list[bytes]]]:
        for position, lines in FRAMINGS[self.format](iter(file), start):
            if self.needs_end and not lines[-1].endswith(b"\n"):
                require_last_line(self.format, lines)
            yield position, lines


class Trajectory(Frames):
    """An ASE trajectory."""

    def positions(self) -> Iterator[int]:
        with unpacked(self.path) as file:
            require_trajectory(file)
            yield from range(len(TrajectoryReader(file)))
            require_end(file)

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[Atoms]:
        with unpacked(self.path) as file:
            require_trajectory(file)
            trajectory = TrajectoryReader(file)
            for number in range(len(trajectory))[start:stop]:
                try:
                    atoms = trajectory[number]
                except Exception:
                    require_end(file)  # which says what is missing
                    raise
                yield atoms
            if stop is None:
                require_end(file)


class Rows(Frames):
    """An ASE database."""

    def positions(self) -> Iterator[int]:
        yield from range(open_database(self.path, self.format).count())

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[Atoms]:
        yield from rows_of(open_database(self.path, self.format), start, stop)


class WholeFile(Frames):
    """A file of any other format, which ASE reads from its beginning."""

    def positions(self) -> Iterator[int]:
        yield from range(sum(1 for _ in self._of_ase(_ALL)))

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[Atoms]:
        found = self._of_ase(slice(start, stop))
        if stop is not None:
            yield from found
            return
        n_frames, n_atoms, held = start, 0, None
        for n_frames, atoms in enumerate(found, start + 1):  # noqa: B007 - of all
            if held is not None:
                yield held
            n_atoms, held = n_atoms + len(atoms), atoms
        if self.needs_end:  # or the last structure may lack some of its last number
            with unpacked(self.path) as file:
                require_last_line(self.format, file)
        if held is not None:
            yield held
        with unpacked(self.path) as file:
            require_whole(self.format, file, n_frames, n_atoms)

    def chosen(self, index: slice) -> Iterator[Atoms]:
        frames, cut = _until_cut(self.read())
        yield from frames[index]
        if cut is not None:
            raise cut

    def _of_ase(self, index: slice) -> Iterator[Atoms]:
        wanted = slice(None) if get_ioformat(self.format).single else index
        found = iread(str(self.path), wanted, self.format, parallel=False, do_not_split_by_at_sign=True, **self.options)
        for atoms in found:
            if not isinstance(atoms, Atoms):
                raise TypeError("ASE finds no structure in it")
            if len(atoms):
                yield atoms
            elif self.format != "proteindatabank":  # ASE takes the END of a file of models for one more
                raise ValueError("ASE finds a structure without atoms in it")


def _until_cut(values: Iterator[T]) -> tuple[list[T], CutOffError | None]:
    """What comes before the end of a file, and what is wrong with that."""
    found = []
    try:
        for value in values:
            found.append(value)  # noqa: PERF402 - what came before an error is kept
    except CutOffError as exc:
        return found, exc
    return found, None
