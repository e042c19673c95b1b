"""Metadata of a code location: the curations and workflows in it, whose names are those of their partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import Definitions

DEFINES = "curator/defines/"
"""What stands before a name."""


def definitions_metadata(name: str, kind: str) -> dict[str, str]:
    """Says that definitions are those of a curation or of a workflow; they keep it when they are merged."""
    return {f"{DEFINES}{name}": kind}


def names_defined(definitions: Definitions) -> list[str]:
    """Names of all curations and workflows in them."""
    return [key.removeprefix(DEFINES) for key in definitions.metadata if key.startswith(DEFINES)]
