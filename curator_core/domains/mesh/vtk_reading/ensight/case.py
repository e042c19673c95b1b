"""What a case file of EnSight names: geometry, variables, and which file has them at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

_SECTIONS: Final = ("FORMAT", "GEOMETRY", "VARIABLE", "TIME", "FILE")
_COMPONENTS: Final = {"scalar": 1, "vector": 3, "tensor": 6}
_ASYMMETRIC: Final = 9


class Located(NamedTuple):
    """A file, or the one of each of its steps."""

    name: str
    """With asterisks where the number of the file stands."""
    time_set: int
    file_set: int


class Variable(NamedTuple):
    """A line of the section VARIABLE."""

    name: str
    n_components: int
    place: str
    """``node``, ``element`` or ``measured``."""
    files: tuple[Located, ...]
    """Two of a complex one: real and imaginary values."""


class Step(NamedTuple):
    """Where the values of a time are."""

    path: Path
    number: int | None
    """Of the step in the file, from 1; ``None`` where the file has no marks of steps."""


@dataclass
class _TimeSet:
    times: list[float] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    """Of the files."""


class Case:
    """A case file, as VTK reads it.

    Raises
    ------
    ValueError
        It names no geometry, or a line is not as the format has it.
    """

    def __init__(self, path: Path) -> None:
        self._folder = path.parent
        self._time_sets: dict[int, _TimeSet] = {}
        self._file_sets: dict[int, list[tuple[int | None, int]]] = {}
        """Of a file set, the number in the name of each file, and how many steps it has."""
        self.is_gold = False
        self.geometry: Located | None = None
        self.measured: Located | None = None
        self.variables: list[Variable] = []
        sections = _sections(path)
        for line in sections["FORMAT"]:
            self.is_gold |= line.startswith("type:") and line.split()[-1] == "gold"
        for line in sections["GEOMETRY"]:
            key, _, rest = line.partition(":")
            if key in ("model", "measured"):
                setattr(self, "geometry" if key == "model" else key, _located(rest.split(), 1)[1])
        for line in sections["VARIABLE"]:
            self._take_variable(line)
        self._take_times(sections["TIME"])
        self._take_files(sections["FILE"])

    def _take_variable(self, line: str) -> None:
        key, _, rest = line.partition(":")
        kind = key.split()
        is_complex = kind[:1] == ["complex"]
        kind = kind[is_complex:]
        if not kind or kind[0] not in _COMPONENTS:  # constants of the case stand in its file
            return
        n_components = _ASYMMETRIC if "asym" in kind else _COMPONENTS[kind[0]]
        place = "measured" if "measured" in kind else kind[-1]
        (name, *_), first = _located(rest.split(), 2)
        words = rest.split()
        files = [first]
        if is_complex:  # their names are followed by a frequency
            files.append(first._replace(name=words[words.index(first.name) + 1]))
        self.variables.append(Variable(name, n_components, place, tuple(files)))

    def _take_times(self, lines: list[str]) -> None:
        own, key = _TimeSet(), ""
        n_steps = start = increment = 0
        for line in lines:
            found, mark, rest = line.partition(":")
            key, words = (found.strip(), rest.split()) if mark else (key, line.split())
            if key in ("time values file", "filename numbers file"):
                key, words = key.removesuffix(" file"), (self._folder / words[0]).read_text().split()
            if key == "time set":
                own = self._time_sets[int(words[0])] = _TimeSet()
            elif key == "number of steps":
                n_steps = int(words[0])
            elif key == "filename start number":
                start = int(words[0])
            elif key == "filename increment":
                increment = int(words[0])
                own.numbers = [start + increment * step for step in range(n_steps)]
            elif key == "filename numbers":
                own.numbers += [int(word) for word in words]
            elif key == "time values":
                own.times += [float(np.float32(word)) for word in words]  # as VTK keeps them

    def _take_files(self, lines: list[str]) -> None:
        number: int | None = None
        own: list[tuple[int | None, int]] = []
        for line in lines:
            key, _, rest = line.partition(":")
            if key == "file set":
                own, number = self._file_sets.setdefault(int(rest.split()[0]), []), None
            elif key == "filename index":
                number = int(rest)
            elif key == "number of steps":
                own.append((number, int(rest)))

    def step(self, located: Located, time: float | None) -> Step:
        """Where the values of a time are, that of the last step up to it."""
        at = self._count_until(located.time_set, time) - 1
        own = self._time_sets.get(located.time_set, _TimeSet())
        if not self._file_sets:
            return Step(self._path(located.name, own.numbers[at] if at < len(own.numbers) else None), None)
        for index, n_steps in self._file_sets.get(located.file_set, []):
            if at < n_steps:
                return Step(self._path(located.name, index), at + 1)
            at -= n_steps
        return Step(self._path(located.name, None), at + 1)

    def is_read(self, variable: Variable, time: float | None) -> bool:
        """Whether VTK reads a variable at a time: it leaves out one whose step is older than that of the geometry."""
        base = self.measured if variable.place == "measured" else self.geometry
        if base is None or not self._time_sets or time is None:
            return base is not None
        times = self._times(variable.files[0].time_set)
        return any(self._latest(base.time_set, time) <= own <= time for own in times)

    def _times(self, time_set: int) -> list[float]:
        return self._time_sets.get(time_set, _TimeSet()).times

    def _latest(self, time_set: int, time: float) -> float:
        times = self._times(time_set)
        return max((own for own in times if own <= time), default=times[0] if times else -np.inf)

    def _count_until(self, time_set: int, time: float | None) -> int:
        return max(1, sum(time is not None and own <= time for own in self._times(time_set)))

    def _path(self, name: str, number: int | None) -> Path:
        if number is not None:
            name = re.sub(r"\*+", lambda stars: str(number).zfill(len(stars[0])), name, count=1)
        return self._folder / name


def _sections(path: Path) -> dict[str, list[str]]:
    """Lines of each section, without comments."""
    found: dict[str, list[str]] = {name: [] for name in _SECTIONS}
    own: list[str] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split("#")[0].strip()
        if name := next((name for name in _SECTIONS if words.startswith(name)), None):
            own = found[name]
        elif words:
            own.append(words)
    return found


def _located(words: list[str], n_names: int) -> tuple[list[str], Located]:
    """The words of names, the last of them the file's, after up to two numbers: the time set and the file set."""
    numbers: list[int] = []
    while len(numbers) < 2 and len(words) > n_names and re.fullmatch(r"\d+", words[0]):  # noqa: PLR2004 - two sets
        numbers.append(int(words[0]))
        words = words[1:]
    if len(words) < n_names:
        raise ValueError(f"a line of the case file lacks the name of a file: {' '.join(words)!r}")
    time_set, file_set = [*numbers, 1, 1][:2] if len(numbers) != 1 else (numbers[0], 1)
    return words, Located(words[n_names - 1], time_set, file_set)
