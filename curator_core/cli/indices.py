"""Index ranges on the command line: ``0,5-9``."""

from __future__ import annotations

import re
from collections.abc import Sequence

import click

from curator_core.errors import IndexRangeError

_PART = re.compile(r"([0-9]+)(?:-([0-9]+))?")


class IndexRanges(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """Comma-separated indices and inclusive ranges of them."""

    name = "ranges"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[range, ...]:
        """Parse ``0,5-9``; not expanded yet, since a range may be far too long."""
        if isinstance(value, tuple):
            return value
        return tuple(self._parse(part.strip(), param, ctx) for part in str(value).split(","))

    def _parse(self, part: str, param: click.Parameter | None, ctx: click.Context | None) -> range:
        match = _PART.fullmatch(part)
        if match is None:
            self.fail(f"{part!r} is neither an index nor a range. Write, for example, 0,5-9.", param, ctx)
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            self.fail(f"{part!r} runs backwards. Write {last}-{first}.", param, ctx)
        return range(first, last + 1)


def expanded(ranges: Sequence[range], n_items: int) -> list[int]:
    """The indices, in the order given, each once.

    Raises
    ------
    IndexRangeError
        One is not below `n_items`.
    """
    for part in ranges:
        if part.stop > n_items:
            last = f"0 to {n_items - 1}" if n_items else "none"
            raise IndexRangeError(
                f"--indices: {part.stop - 1} is out of range, the source has {n_items} items ({last})."
            )
    return list(dict.fromkeys(index for part in ranges for index in part))
