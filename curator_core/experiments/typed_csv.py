"""Tables as CSV whose cells keep their type: texts are quoted, everything else is not.

f3dasm and pandas read such files as any other. What they write themselves quotes only where it must; there the
type of a column is what all its cells can be.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from curator_core.errors import ConfigError
from curator_core.experiments.design.parameters import ContinuousParameter, DiscreteParameter, Parameter, plain

_CELL = re.compile(r'(?:"((?:[^"]|"")*)"|([^,\r\n"][^,\r\n]*)?)(,|\r\n|\r|\n|\Z)')


class Cell(NamedTuple):
    """One cell as it stands in a file."""

    text: str
    is_quoted: bool


_NOTHING = Cell("", is_quoted=False)
_LAST_ROW = 2**63 - 1
_MOST_DIGITS = 4300
"""Of an integer that Python reads."""


@dataclass(frozen=True)
class Grid:
    """A CSV file with an index, before types are known."""

    names: list[str]
    index: list[int]
    rows: list[list[Cell]]
    is_typed: bool
    """Whether texts, and nothing else, are quoted."""
    corner: str = ""
    """Name of the first column."""


def written(value: object, where: str) -> str:
    """The cell of a value.

    Raises
    ------
    ConfigError
        A table cannot hold the value, which `where` names.
    """
    found = plain(value)
    if found is None:
        return ""
    if isinstance(found, bool):
        return str(found)
    if isinstance(found, int):
        return _digits(found, where)
    if isinstance(found, float):
        return repr(found)
    if isinstance(found, np.ndarray) and found.dtype.kind in "fiu":
        found = json.dumps(found.tolist())
    if not isinstance(found, str):
        raise ConfigError(
            f"{where} holds {value!r} of type {type(value).__name__}, which a table cannot keep. "
            "Store it with to_disk=True, or its numbers and texts under names of their own."
        )
    return quoted(found, where)


def _digits(number: int, where: str) -> str:
    try:
        return str(number)
    except ValueError as exc:
        raise ConfigError(f"{where} holds an integer of more digits than a table can keep: {exc}.") from exc


def quoted(text: str, where: str) -> str:
    """The cell of a text."""
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise ConfigError(f"{where} holds {text!r}, which is no valid Unicode text.") from exc
    return '"' + text.replace('"', '""') + '"'


def lines(names: Sequence[str], index: Iterable[int], rows: Iterable[Sequence[str]]) -> str:
    """The text of a CSV file from cells that `written` gave; quoted names mark the file as typed."""
    head = ",".join(['""', *(quoted(name, "A parameter's name") for name in names)])
    return "\n".join([head, *(",".join([str(i), *row]) for i, row in zip(index, rows, strict=True)), ""])


def parse(text: str, source: str) -> Grid:
    """Read a CSV file with a header and an index.

    Raises
    ------
    ConfigError
        It is no such file; the message names the line.
    """
    found = list(split_rows(text.removeprefix("\ufeff"), source))
    if not found:
        raise ConfigError(f"{source} is empty; a table has at least a header.")
    head, *body = found
    names = [cell.text for cell in head[1:]]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ConfigError(f"{source} has the column {min(twice)!r} twice.")
    if "" in names:
        raise ConfigError(f"{source} has a column without a name, number {names.index('') + 1}; a comma too many?")
    is_typed = all(cell.is_quoted for cell in head)
    if is_typed and not text.endswith(("\n", "\r")):
        raise ConfigError(f"{source} is cut off: its last line has no end. Complete the line, and end it.")
    index: list[int] = []
    for row in body:
        if len(row) != len(head):
            raise ConfigError(f"{source}, row {row[0].text!r}: {len(row)} cells under {len(head)} column names.")
        index.append(_row_number(row[0].text, source))
    if len(set(index)) != len(index):
        raise ConfigError(f"{source} has the row {_first_twice(index)} twice.")
    return Grid(names, index, [row[1:] for row in body], is_typed=is_typed, corner=head[0].text)


def split_rows(text: str, source: str) -> Iterator[list[Cell]]:
    """The cells of each line.

    Raises
    ------
    ConfigError
        A quote is where none can be.
    """
    row: list[Cell] = []
    position, line = 0, 1
    while position < len(text):
        match = _CELL.match(text, position)
        if match is None:
            raise ConfigError(f"{source}, line {line}: a quote is not where a cell begins or ends.")
        inside, outside, end = match.groups()
        row.append(
            Cell(outside or "", is_quoted=False) if inside is None else Cell(inside.replace('""', '"'), is_quoted=True)
        )
        line += match.group().count("\n")
        position = match.end()
        if end != ",":
            if row != [_NOTHING]:  # an empty line
                yield row
            row = []
    if row:
        yield [*row, _NOTHING]  # the file ends with a comma


def _row_number(text: str, source: str) -> int:
    number = int(text) if re.fullmatch("[0-9]{1,19}", text) else -1
    if not 0 <= number <= _LAST_ROW:
        raise ConfigError(f"{source}: {text!r} is no row number; the first column holds integers from 0.")
    return number


def _first_twice(index: list[int]) -> int:
    seen: set[int] = set()
    return next(i for i in index if i in seen or seen.add(i))  # type: ignore[func-returns-value]


def values(cells: Sequence[Cell], parameter: Parameter, *, is_typed: bool) -> list[object]:
    """The values of a column, still to be accepted by its parameter; ``None`` where there is none."""
    if is_typed:
        return [typed(cell) for cell in cells]
    texts = [cell.text for cell in cells]
    if isinstance(parameter, ContinuousParameter | DiscreteParameter):
        return [_literal(text) for text in texts]
    known = [None if not text else parameter.recognised(text) for text in texts]
    read = _reader([text.strip() for text, one in zip(texts, known, strict=True) if text and one is None])
    return [read(text) if text and one is None else one for text, one in zip(texts, known, strict=True)]


def typed(cell: Cell) -> object:
    """The value of a cell in a file in which texts, and nothing else, are quoted."""
    return cell.text if cell.is_quoted else _literal(cell.text)


def _reader(texts: Sequence[str]) -> Callable[[str], object]:
    """How to read a column of a foreign file: by what all its cells can be, those that say there is nothing apart."""
    present = [text for text in texts if text not in _ABSENT]
    for form, read in _FORMS:
        if present and all(form.fullmatch(text) for text in present):
            return lambda text: None if text.strip() in _ABSENT else read(text.strip())
    return str


def _literal(text: str) -> object:
    bare = text.strip()
    if not bare or bare in _ABSENT:
        return None
    return next((read(bare) for form, read in _FORMS if form.fullmatch(bare)), text)


def _real(text: str) -> object:
    found = float(text)
    return text if math.isinf(found) and "inf" not in text.lower() else found  # no number of a table is beyond all


_FORMS: tuple[tuple[re.Pattern[str], Callable[[str], object]], ...] = (
    (re.compile(rf"0|-?[1-9][0-9]{{0,{_MOST_DIGITS - 1}}}"), int),  # 007 is a text
    (re.compile(r"True|False|TRUE|FALSE|true|false"), lambda text: text.lower() == "true"),
    (
        re.compile(
            r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|nan|NaN|NAN"
            r"|[+-]?(?:inf|Inf|INF|infinity|Infinity|INFINITY)"
        ),
        _real,
    ),
)
"""What unquoted text may be, tried in this order."""

_ABSENT = frozenset(("NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NULL", "null"))
"""What pandas, R and spreadsheets write where there is no value."""


def same(first: object, second: object) -> bool:
    """Whether two values of a table are the same, NaN included."""
    if hasattr(first, "to_csv") or hasattr(second, "to_csv"):  # frames of pandas
        return type(first) is type(second) and first.equals(second)  # type: ignore[attr-defined]
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        one, other = np.asarray(first), np.asarray(second)
        return np.array_equal(one, other, equal_nan=one.dtype.kind in "fc" and other.dtype.kind in "fc")
    both_nan = isinstance(first, float) and isinstance(second, float) and math.isnan(first) and math.isnan(second)
    return both_nan or first == second
