"""Folders of a table that is partitioned, as Hive names them: ``region=EU/year=2020``, one for each combination."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    import pyarrow as pa

MISSING: Final = "__HIVE_DEFAULT_PARTITION__"
"""Stands for a missing value."""
_ESCAPED: Final = re.compile(r"(?![\w.~-])[\x00-\x7f]")
"""Everything of ASCII that has a meaning somewhere; other letters stay, since Spark decodes no UTF-8."""
_MAX_BYTES: Final = 255


def partition_folder(column: str, value: str | None) -> str:
    """Name of the folder of a value, which has no slash and is never ``..``.

    Parameters
    ----------
    column
        The column of the table.
    value
        The value as text; ``None`` where it is missing.

    Raises
    ------
    ValueError
        The text is one that readers take for a missing value, or no file system has so long a name.
    """
    if value in ("", MISSING):
        raise ValueError(f"{value!r}, which readers of such folders take for a missing value")
    name = f"{_escaped(column)}={MISSING if value is None else _escaped(value)}"
    if len(name.encode()) > _MAX_BYTES:
        raise ValueError(f"{value!r}, which is too long for the name of a folder")
    return name


def _escaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: f"%{ord(found[0]):02X}", text)


def partition_values(folder: str) -> dict[str, str | None]:
    """Text of each column in the path of a folder, or of a file in it; ``None`` where the value is missing."""
    pairs = (part.partition("=") for part in folder.split("/") if "=" in part)
    return {unquote(column): None if value == MISSING else unquote(value) for column, _, value in pairs}


def partitioned_schema(description: bytes) -> tuple[pa.Schema, tuple[str, ...]] | None:
    """All columns of a dataset, and those by which it is partitioned, which its files lack; ``None`` where none are.

    Parameters
    ----------
    description
        What the dataset says of itself, as JSON.
    """
    import pyarrow as pa

    found: Mapping[str, Any] = json.loads(description)
    if not found.get("partition_by"):
        return None
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(found["schema"]))), tuple(found["partition_by"])
