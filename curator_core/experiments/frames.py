"""Data frames as CSV files whose cells, labels and texts keep their type, and which pandas and f3dasm read, too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from curator_core.errors import ConfigError
from curator_core.experiments import typed_csv

if TYPE_CHECKING:
    import pandas as pd


def frame_text(table: pd.DataFrame, where: str) -> str:
    """The text of a frame's file, in which texts are quoted and nothing else is.

    Raises
    ------
    ConfigError
        A file cannot keep one of its values or labels, as that of a date or of several levels; `where` names it.
    """
    if table.index.nlevels > 1 or table.columns.nlevels > 1:
        raise ConfigError(f"{where} is a data frame with labels of several levels. Use reset_index() first.")
    names = [_label(name, f"{where}, the name of column {name!r},") for name in table.columns.tolist()]
    rows = [_label(row, f"{where}, the label of row {row!r},") for row in table.index.tolist()]
    columns = [
        [
            typed_csv.written(_known(value), f"{where}, column {names[at]}, row {rows[row]},")
            for row, value in enumerate(one)
        ]
        for at, one in enumerate(table.iloc[:, at].tolist() for at in range(table.shape[1]))
    ]
    corner = '""' if table.index.name is None else _label(str(table.index.name), where)
    lines = [",".join([corner, *names])]
    lines += [",".join(parts) for parts in zip(rows, *columns, strict=True)]
    return "\n".join([*lines, ""])


def read_frame(file: Path) -> pd.DataFrame:
    """Read what `frame_text` gave, or what pandas or f3dasm wrote.

    Raises
    ------
    ValueError
        It is no such file.
    """
    import pandas as pd

    content = file.read_bytes()
    if not content.startswith(b'"'):  # pandas quotes no corner
        return pd.read_csv(file, index_col=0, float_precision="round_trip")
    head, *body = typed_csv.split_rows(content.decode(), str(file))
    if not content.endswith(b"\n") or any(len(row) != len(head) for row in body):
        raise ConfigError(f"{file} is cut off, or was changed: its last line has no end, or a row other cells.")
    columns = {at: _column([typed_csv.typed(row[at]) for row in body]) for at in range(1, len(head))}
    labels = pd.Index([typed_csv.typed(row[0]) for row in body]) if body else pd.RangeIndex(0)
    table = pd.DataFrame(columns, index=labels)
    table.columns = pd.Index([typed_csv.typed(cell) for cell in head[1:]]) if columns else pd.RangeIndex(0)
    table.index.name = head[0].text or None
    return table


def _label(label: object, where: str) -> str:
    text = typed_csv.written(label, where)
    if not text:
        raise ConfigError(f"{where} is missing; a file cannot keep that.")
    return text


def _known(value: object) -> object:
    import pandas as pd

    is_nan = isinstance(value, float) and value != value  # noqa: PLR0124 - NaN
    return None if is_nan or value is pd.NA or value is pd.NaT else value


def _column(values: Sequence[object]) -> Sequence[object]:
    """The values of a column, NaN where there is none, as pandas has it."""
    return [float("nan") if value is None else value for value in values]
