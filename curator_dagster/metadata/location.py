"""Metadata of a code location: the curations and workflows in it, whose names are those of their partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from curator_dagster._compat.loading import carried, carried_value

if TYPE_CHECKING:
    from dagster import Definitions, MetadataValue

DEFINES = "curator/defines/"
"""What stands before a kind and a name."""


def definitions_metadata(name: str, kind: str, value: object = None) -> dict[str, MetadataValue[Any]]:
    """Says that definitions are those of a curation or of a workflow, and carries it; they keep it when merged."""
    return {**carried(f"{DEFINES}{kind}/{name}", kind, value)}


def names_defined(definitions: Definitions) -> list[str]:
    """Names of all curations and workflows in them."""
    return [key.rpartition("/")[2] for key in definitions.metadata if key.startswith(DEFINES)]


def objects_defined(definitions: Definitions, kind: str) -> dict[str, object]:
    """What is carried of those of a kind, by name."""
    start = f"{DEFINES}{kind}/"
    found = {key: carried_value(definitions.metadata, key) for key in definitions.metadata if key.startswith(start)}
    return {key.removeprefix(start): value for key, value in found.items()}
