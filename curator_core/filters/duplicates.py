"""Filter that finds what is in a source twice."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import numpy as np

from curator_core.errors import ComponentError, ConfigError, MergeError
from curator_core.filters.shards import JSONShardsFilter, using_shard
from curator_core.filters.values.fields import Array, FieldError, Fields
from curator_core.filters.values.kinds import fields_of
from curator_core.pipeline.current import current_item

_SHOWN: Final = 5

Kind = Literal["content", "coordinate", "key"]


class DuplicatesFilter(JSONShardsFilter):
    """Finds items that are in a source twice; values pass unchanged.

    Items are compared over the whole source when the dataset is put together, those that were processed in former runs
    among them. The output is a JSON file with the keys of both items of each pair.

    Parameters
    ----------
    output_path
        File of what was found, ending in ``.json``.
    by
        ``content``: all values of two items are the same, coordinates among them. ``coordinate``: two items have the
        same field at the same place along `along`, whatever its values are. ``key``: a part of the keys is the same,
        such as the file name in two folders.
    along
        For ``coordinate``: the coordinates, or columns of a table, that say which place it is.
    pattern
        For ``key``: a regular expression that is searched in keys; what is compared is its first part in parentheses,
        or all that it matches. By default the name after the last slash.
    action
        ``fail``: where something is there twice, nothing is published, and both items are named. ``report``: it is
        written down.

    Raises
    ------
    ConfigError
        An option is missing, or of another way to compare.
    """

    name: ClassVar[str] = "duplicates"
    description: ClassVar[str] = "Items that are in a source twice, by content, coordinate or key"
    checks_arguments: ClassVar[bool] = True
    shard_format: ClassVar[str] = "curator-duplicates-1"

    def __init__(
        self,
        output_path: str,
        by: Kind = "content",
        *,
        along: Sequence[str] = (),
        pattern: str | None = None,
        action: Literal["fail", "report"] = "fail",
    ) -> None:
        if bool(along) != (by == "coordinate") or (pattern is not None and by != "key"):
            raise ConfigError(f"{self.name}: along is for by='coordinate', which needs it, and pattern for by='key'.")
        try:
            self._pattern = re.compile(pattern or r"[^/]+$")
        except re.error as exc:
            raise ConfigError(f"{self.name}: the pattern {pattern!r} is no regular expression: {exc}.") from None
        self._output_path, self._by, self._along, self._action = str(output_path), by, tuple(along), action
        self._marks: list[str] = []

    def __call__(self, items: Generator[Any, None, None]) -> Generator[Any, None, None]:
        """Pass values on and take in what they are compared by.

        Raises
        ------
        ComponentError
            A value has no fields or coordinates to be compared by.
        """
        self._marks = []  # here, not in the generator, which may never be started
        return self._observe(items, self._marks)

    def _observe(self, items: Iterator[Any], marks: list[str]) -> Generator[Any, None, None]:
        digest, n_values = hashlib.blake2b(digest_size=16), 0
        for position, value in enumerate(items):
            try:
                if self._by == "content":
                    _take_in(digest, fields_of(value))
                elif self._by == "coordinate":
                    marks += _places(fields_of(value), self._along)
            except FieldError as exc:
                text = f"{self.name}: value {position}: {exc}."
                raise ComponentError(text, component=self.name) from exc
            n_values += 1
            yield value
        if self._by == "content" and n_values:
            marks.append(digest.hexdigest())

    def _part_of_key(self, key: str) -> str:
        found = self._pattern.search(key)
        if found is None:
            raise ComponentError(f"{self.name}: the pattern finds nothing in the key {key!r}.", component=self.name)
        return found[1] if found.re.groups and found[1] is not None else found[0]

    def write_shard(self, path: str) -> None:
        """Write what the last item is compared by."""
        key = current_item().key
        marks = [self._part_of_key(key)] if self._by == "key" else self._marks
        Path(path).write_text(json.dumps({"format": self.shard_format, "key": key, "marks": marks}), encoding="utf-8")

    def merge_contents(self, contents: Iterable[bytes], output_path: str) -> None:
        """Compare all items.

        Raises
        ------
        MergeError
            Something is there twice, and `action` is ``fail``; or a shard is damaged.
        """
        owners: dict[str, str] = {}
        pairs: dict[tuple[str, str], str] = {}
        for position, content in enumerate(contents):
            with using_shard(position, self.name):
                data = self.restored(content)
                key, marks = str(data["key"]), [str(mark) for mark in data["marks"]]
            for mark in marks:
                if mark in owners:
                    pairs.setdefault((owners[mark], key), mark)
                owners.setdefault(mark, key)
        if pairs and self._action == "fail":
            raise MergeError(f"{self.name}: {self._said(pairs)}. Take one of each out of the source, or correct it.")
        rows = [{"first": first, "second": second, "same": mark} for (first, second), mark in pairs.items()]
        text = json.dumps({"format": self.shard_format, "by": self._by, "pairs": rows}, indent=1)
        Path(output_path).write_text(f"{text}\n", encoding="utf-8")

    def _said(self, pairs: dict[tuple[str, str], str]) -> str:
        shown = []
        for (first, second), mark in list(pairs.items())[:_SHOWN]:
            what = "" if self._by == "content" else f" ({mark})"
            shown.append(f"{first!r} twice{what}" if first == second else f"{first!r} and {second!r}{what}")
        more = f", and {len(pairs) - _SHOWN} more" if len(pairs) > _SHOWN else ""
        return f"the same {self._by} is in the items {'; '.join(shown)}{more}"


def _take_in(digest: Any, fields: Fields) -> None:  # noqa: ANN401 - a hash
    for name, array in fields.content():
        digest.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        digest.update(_bytes(array))


def _bytes(array: Array) -> bytes:
    if array.dtype.kind in "TO":
        return repr(array.tolist()).encode()
    return np.ascontiguousarray(array).tobytes()


def _places(fields: Fields, along: Sequence[str]) -> Iterator[str]:
    """Every place of every field: ``t at time=0, member=1``."""
    known = fields.known()
    for name in along:
        if name not in known:
            raise FieldError(f"it has no coordinate {name!r}; it has {', '.join(known)}")
    labels = [[str(value) for value in np.atleast_1d(fields.values(name)).tolist()] for name in along]
    own = {fields.dims(name) for name in along}
    if len(own) == 1 and len(along) > 1 and own != {()}:  # columns of one table
        places = [", ".join(map("=".join, zip(along, row, strict=True))) for row in zip(*labels, strict=True)]
    else:
        places = [""]
        for name, values in zip(along, labels, strict=True):
            places = [f"{place}{', ' if place else ''}{name}={value}" for place in places for value in values]
    for name in fields.names():
        if name not in along:
            yield from (f"{name} at {place}" for place in places)
