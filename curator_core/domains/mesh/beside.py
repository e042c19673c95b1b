"""Files beside a file that belong to the same mesh: other parts, and values of the case from tables."""

from __future__ import annotations

import csv
import fnmatch
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from curator_core.errors import ConfigError
from curator_core.formats.arrays import Array

_FIELD: Final = re.compile(r"\{(\w*)\}")


class Beside:
    """Which files belong to a file, by what the asterisks of its pattern stand for.

    Parameters
    ----------
    pattern
        Of the files.
    others
        Paths of other files by the name of their part, relative to the file; ``{0}`` is what the first asterisk in the
        pattern's last part stands for, ``{1}`` the second, ``{folder}`` the name of the file's folder.
    values
        Path of a CSV or JSON file with values of the case, alike.
    row
        Which row of it, alike: what stands in its first column; by default it has one.

    Raises
    ------
    ConfigError
        A path names what the pattern has not.
    """

    def __init__(self, pattern: str, others: Mapping[str, str], values: str | None, row: str | None) -> None:
        name = pattern.rpartition("/")[2]
        self._match = re.compile("(.*)".join(fnmatch.translate(piece)[4:-3] for piece in name.split("*")))
        self._others, self._values, self._row = dict(others), values, row
        known = {*map(str, range(name.count("*"))), "folder"}
        for template in (*others.values(), values or "", row or ""):
            if wrong := [field for field in _FIELD.findall(template) if field not in known]:
                raise ConfigError(
                    f"{template!r} names {{{wrong[0]}}}; the pattern {pattern!r} has "
                    f"{', '.join(f'{{{field}}}' for field in sorted(known))}."
                )
        if row is not None and values is None:
            raise ConfigError("global_row says which row of global_data is meant: give that, too.")

    @property
    def is_empty(self) -> bool:
        """Whether nothing belongs to any file."""
        return not self._others and self._values is None

    def files(self, path: Path) -> dict[str, Path]:
        """The other files by the name of their part."""
        return {name: path.parent / self._filled(template, path) for name, template in self._others.items()}

    def values(self, path: Path) -> dict[str, Array]:
        """Values of the case, numbers as float64.

        Raises
        ------
        ValueError
            There is no such file, or no such row in it, or two.
        """
        return {name: _array(value) for name, value in self._found(path).items()}

    def digest(self, path: Path) -> str:
        """Digest of the values of the case; of nothing where there are none."""
        try:
            text = json.dumps(self._found(path), sort_keys=True)
        except (OSError, ValueError) as exc:  # fails when it is read, with its reason
            text = type(exc).__name__
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def _found(self, path: Path) -> Mapping[str, Any]:
        if self._values is None:
            return {}
        table = path.parent / self._filled(self._values, path)
        if not table.is_file():
            raise ValueError(f"{table} is missing, which has the values of the case")
        status = table.stat()
        rows = _rows(table, status.st_mtime_ns, status.st_size)
        if self._row is None:
            if len(rows) != 1:
                raise ValueError(f"{table} has {len(rows):,} rows: say with global_row= which one is meant")
            return rows[0][1]
        wanted = self._filled(self._row, path)
        found = [values for key, values in rows if key == wanted]
        if len(found) != 1:
            raise ValueError(f"{table} has {len(found) or 'no'} rows {wanted!r}")
        return found[0]

    def _filled(self, template: str, path: Path) -> str:
        found = self._match.fullmatch(path.name)
        fields = dict(zip(map(str, range(9)), found.groups() if found else (), strict=False))
        fields["folder"] = path.parent.name
        return _FIELD.sub(lambda field: fields.get(field[1], ""), template)


@lru_cache(maxsize=256)
def _rows(path: Path, _changed_ns: int, _size: int) -> list[tuple[str, Mapping[str, Any]]]:
    """Rows of a table with what stands in their first column, or under which they are."""
    if path.suffix.lower() == ".json":
        return list(_json_rows(path))
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file, strict=True, skipinitialspace=True)
        rows = list(reader)
        names = [name.strip() for name in reader.fieldnames or []]
    _require_once(names, path)
    if wrong := [n for n, row in enumerate(rows, 1) if None in row or None in row.values()]:
        raise ValueError(f"{path}: row {wrong[0]} has another number of values than columns")
    found = [dict(zip(names, row.values(), strict=True)) for row in rows]
    return [(row[names[0]].strip(), {name: _number(value) for name, value in row.items()}) for row in found]


def _json_rows(path: Path) -> Iterable[tuple[str, Mapping[str, Any]]]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        _require_once([name for name, _ in pairs], path)
        return dict(pairs)

    found = json.loads(path.read_bytes(), object_pairs_hook=once)
    if isinstance(found, list) and all(isinstance(row, dict) and row for row in found):
        return [(str(next(iter(row.values()))), row) for row in found]
    if isinstance(found, dict) and found:
        if all(isinstance(row, dict) for row in found.values()):
            return list(found.items())
        return [(str(next(iter(found.values()))), found)]
    raise ValueError(f"{path} holds no object, and no list of them")


def _require_once(names: Sequence[str], path: Path) -> None:
    """Raise `ValueError` where two values have one name, of which the second would be taken."""
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise ValueError(f"{path} has {twice[0]!r} twice: rename one")


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text.strip()


def _array(value: Any) -> Array:  # noqa: ANN401 - of JSON
    found = np.atleast_1d(np.asarray(value))
    if found.dtype.kind in "iufb":
        return found.astype(np.float64)
    if found.dtype.kind == "U":
        return found
    raise ValueError(f"{value!r} is no number, text, or list of such")
