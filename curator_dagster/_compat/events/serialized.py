"""Events of partitions as Dagster serializes them, made from one that it did.

Publicly events can only be serialized one by one, which is most of what recording one costs. The events of
one step are alike but for some texts and numbers: those are put into what Dagster made of the first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from json.encoder import encode_basestring_ascii
from typing import Any, Self

from dagster import AssetKey, AssetMaterialization, EventLogEntry, MetadataValue
from dagster_shared.serdes import deserialize_value, serialize_value

from curator_dagster._compat.events.compact import compact


class PathText(str):
    """A path, which the UI offers to copy."""

    __slots__ = ()


class UrlText(str):
    """A URL, which the UI shows as a link."""

    __slots__ = ()


class Time(float):
    """Seconds since 1970, which the UI shows as the time at the reader's place."""

    __slots__ = ()


Value = str | int | float | list[str]
"""What a metadata entry of a partition can be, for it to be recorded quickly."""

_ENCODED: dict[type, Callable[[Any], str]] = {
    str: encode_basestring_ascii,
    PathText: encode_basestring_ascii,
    UrlText: encode_basestring_ascii,
    int: int.__repr__,
    float: json.dumps,  # not `repr`, which writes nan for NaN
    Time: float.__repr__,
    list: partial(json.dumps, separators=(",", ":")),
}
_WRAPPED: dict[type, Callable[[Any], MetadataValue[Any]]] = {
    str: MetadataValue.text,
    PathText: lambda path: MetadataValue.path(str(path)),
    UrlText: lambda url: MetadataValue.url(str(url)),
    int: MetadataValue.int,
    float: MetadataValue.float,
    Time: lambda time: MetadataValue.timestamp(float(time)),
    list: MetadataValue.json,
}


def normalized(metadata: Mapping[str, object]) -> dict[str, Value | MetadataValue[Any]]:
    """Metadata in the types that are recorded quickly, and Dagster's own for what has none of these.

    Raises
    ------
    DagsterInvalidMetadata
        Dagster takes no such value.
    TypeError
        They are no mapping, or a name is no text.
    """
    if not isinstance(metadata, Mapping):
        raise TypeError(f"metadata are a mapping, not {metadata!r}")
    for name in metadata:
        if not isinstance(name, str):
            raise TypeError(f"the name {name!r} of a metadata entry is no text")
    others: dict[str, Any] = {name: value for name, value in metadata.items() if not _is_quick(value)}
    found: dict[str, Any] = dict(metadata)
    return found | (dict(AssetMaterialization("any", metadata=others).metadata) if others else {})


def as_metadata(value: Value | MetadataValue[Any]) -> MetadataValue[Any]:
    """A value of Dagster's own."""
    return value if isinstance(value, MetadataValue) else _WRAPPED[type(value)](value)


def _is_quick(value: object) -> bool:
    if type(value) is list:
        return all(type(member) is str for member in value)
    return type(value) in _WRAPPED


@dataclass(frozen=True, slots=True)
class PartitionMaterialized:
    """A partition was materialized: what differs from one to the next."""

    asset: AssetKey
    """The asset."""
    partition: str
    """Partition key."""
    metadata: Mapping[str, Value | MetadataValue[Any]]
    """Metadata; numbers stay numbers."""
    tags: Mapping[str, str]
    """Tags, such as the data version."""
    timestamp: float
    """When, seconds since 1970."""
    message: str
    """What its row on the run's page says."""

    def materialization(self) -> AssetMaterialization:
        """As Dagster knows it."""
        metadata = {name: as_metadata(value) for name, value in self.metadata.items()}
        return AssetMaterialization(self.asset, partition=self.partition, metadata=metadata, tags=self.tags)

    def brief(self) -> Self:
        """Without metadata."""
        return replace(self, metadata={})

    def values(self) -> list[Any]:
        """All that differs, in one order."""
        return [*self.metadata.values(), *self.tags.values(), self.message, self.partition, self.timestamp]

    def with_values(self, values: Sequence[Any]) -> Self:
        """The same with other values."""
        return replace(
            self,
            metadata=dict(zip(self.metadata, values, strict=False)),
            tags=dict(zip(self.tags, values[len(self.metadata) :], strict=False)),
            message=values[-3],
            partition=values[-2],
            timestamp=values[-1],
        )

    @property
    def shape(self) -> tuple[object, ...]:
        """What is the same in events of one template, but for the types of their values."""
        return self.asset, *self.metadata, "", *self.tags


@dataclass(frozen=True, slots=True)
class PartitionPlanned:
    """A run means to materialize a partition, or an asset that has none."""

    asset: AssetKey
    """The asset."""
    partition: str | None
    """Partition key."""
    timestamp: float
    """When, seconds since 1970."""
    tags: Mapping[str, str] = field(default_factory=dict, init=False)
    """None."""

    def values(self) -> list[Any]:
        """All that differs, in one order."""
        return [self.partition, self.timestamp]

    def with_values(self, values: Sequence[Any]) -> Self:
        """The same with other values."""
        return replace(self, partition=values[0], timestamp=values[1])

    @property
    def shape(self) -> tuple[object, ...]:
        """What is the same in events of one template, but for the types of their values."""
        return (self.asset,)


PartitionEvent = PartitionMaterialized | PartitionPlanned
"""What a step says of a partition, of which there may be very many."""


class PartitionTexts:
    """Serialized events of one step, in few bytes.

    Parameters
    ----------
    make_entry
        The event as Dagster stores it.
    """

    def __init__(self, make_entry: Callable[[PartitionEvent], EventLogEntry]) -> None:
        self._make_entry = make_entry
        self._templates: dict[tuple[object, ...], _Template | None] = {}

    def text(self, event: PartitionEvent) -> str:
        """What Dagster reads as the event."""
        values = event.values()
        shape = (type(event), *event.shape, *map(type, values))
        if shape not in self._templates:
            has_marks = all(type(value) in _ENCODED for value in values)
            self._templates[shape] = self._template(event) if has_marks else None
        template = self._templates[shape]
        return serialize_value(self._make_entry(event)) if template is None else template.filled(values)

    def _template(self, event: PartitionEvent) -> _Template | None:
        marks = [_mark(number, type(value)) for number, value in enumerate(event.values())]
        marked = self._make_entry(event.with_values(marks))
        text = serialize_value(marked)
        shorten: Callable[[str], str] = compact if deserialize_value(compact(text)) == marked else str
        template = _Template(shorten(text), marks)
        # Only what is right for this event is trusted for the next ones.
        expected = shorten(serialize_value(self._make_entry(event)))
        return template if template.filled(event.values()) == expected else None


class _Template:
    """A text with places for values."""

    def __init__(self, text: str, marks: list[Value]) -> None:
        self._encoded = [_ENCODED[type(mark)] for mark in marks]
        places = [encode(mark) for encode, mark in zip(self._encoded, marks, strict=True)]
        pattern = "|".join(map(re.escape, places))
        self._pieces = re.split(pattern, text)
        self._order = [places.index(found) for found in re.findall(pattern, text)]

    def filled(self, values: list[Value]) -> str:
        """The text with these values."""
        encoded = [encode(value) for encode, value in zip(self._encoded, values, strict=True)]
        parts = [self._pieces[0]]
        for position, piece in zip(self._order, self._pieces[1:], strict=True):
            parts += (encoded[position], piece)
        return "".join(parts)


def _mark(number: int, kind: type) -> Any:  # noqa: ANN401 - of the kind
    """A value that occurs nowhere else."""
    text = f"curator-mark-{number:04d}"  # as a tag may be
    if issubclass(kind, str):
        return kind(text)
    if issubclass(kind, float):
        return kind(f"7.31{number:04d}e-200")
    return [text] if kind is list else 7_310_000_000_000_000 + number
