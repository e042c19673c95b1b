"""Names that match a glob pattern, as files below a folder do, without files."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence


def is_plain(pattern: str) -> bool:
    """Whether a pattern is one of file names alone, in whatever folder they are."""
    return "/" not in pattern and "**" not in pattern and bool(pattern.strip("."))


def matching(names: Sequence[str], pattern: str) -> list[str]:
    """The names, relative with slashes, that match a pattern as `pathlib.Path.rglob` has it."""
    if is_plain(pattern):
        is_match = re.compile(fnmatch.translate(pattern)).match
        return [name for name in names if is_match(name.rpartition("/")[2])]
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    compiled = [None if part == "**" else re.compile(fnmatch.translate(part)) for part in parts]
    return [name for name in names if _is_match(name.split("/"), [None, *compiled])]


def _is_match(parts: Sequence[str], wanted: Sequence[re.Pattern[str] | None]) -> bool:
    """Whether parts of a path match those of a pattern, of which ``None`` stands for any number of folders."""
    if not wanted:
        return not parts
    first, *rest = wanted
    if first is None:
        return any(_is_match(parts[start:], rest) for start in range(len(parts)))
    return bool(parts) and first.match(parts[0]) is not None and _is_match(parts[1:], rest)
