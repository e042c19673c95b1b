"""Where the items of a source are, for people who look for the file behind a result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from curator_core.engine.failure import describe
from curator_core.pipeline.components import Source, overrides
from curator_core.records import IndexResult
from curator_core.redaction import Redactor


def full_path(path: str) -> str:
    """A path that says where it is to somebody in another folder; URLs stay."""
    return path if path.startswith("/") or "://" in path else str(Path(path).absolute())


class ItemPaths:
    """Paths of the items of one source.

    Parameters
    ----------
    source
        The source, as this process has it.
    warn
        Takes what is to be said where it raises an error; no path is asked for thereafter.
    """

    def __init__(self, source: Source[Any], warn: Callable[[str], None]) -> None:
        self._source: Source[Any] | None = source if overrides(source, Source.item_path) else None
        self._warn = warn
        self._redacted = Redactor(source.secret_values())
        self._positions: dict[str, int] | None = None

    def of(self, result: IndexResult) -> str | None:
        """Path or URL of an item; ``None`` where the source has none, or does not list the item any more."""
        source = self._source
        if source is None:
            return None
        try:
            try:
                is_there = source.key(result.index) == result.key
            except IndexError:  # fewer are listed by now
                is_there = False
            position = result.index if is_there else self._moved_to(source, result.key)
            found = None if position is None else source.item_path(position)
            return None if found is None else self._shown(found)
        except Exception as exc:  # noqa: BLE001 - whatever a user's source raises: the item is processed
            name = source.component_name()
            text = f"{name} gives no path of {result.key!r}, and is not asked for another: {describe(exc)}"
            self._warn(self._redacted(text))
            self._source = None
            return None

    def _shown(self, path: str) -> str:
        text = self._redacted(full_path(path))
        return text if text.isascii() else text.encode(errors="backslashreplace").decode()

    def _moved_to(self, source: Source[Any], key: str) -> int | None:
        """The item's place in the listing of this process, where that is another one than the run's."""
        if self._positions is None:
            self._positions = {source.key(index): index for index in range(len(source))}
        return self._positions.get(key)
