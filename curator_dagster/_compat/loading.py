"""Definitions as the command line finds them, and objects that they carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster._core.definitions.metadata.metadata_value import ObjectMetadataValue

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType


def carried(name: str, text: str, value: object) -> dict[str, ObjectMetadataValue]:
    """Metadata of a definition, shown as `text`, by which this process finds an object again.

    Publicly metadata are texts and numbers; Dagster finds its components by the same means.
    """
    return {name: ObjectMetadataValue(text, instance=value)}


def carried_value(metadata: Mapping[str, object], name: str) -> object | None:
    """What `carried` put into the metadata of a definition; ``None`` when there is nothing."""
    found = metadata.get(name)
    return found.instance if isinstance(found, ObjectMetadataValue) else None


def definitions_of(module: ModuleType) -> object:
    """The one object of a module that ``dagster dev -m`` would load; calling it gives it, if it can be called.

    Publicly there is the command line only.

    Raises
    ------
    DagsterInvariantViolationError
        There is none, or more than one.
    """
    from dagster._core.workspace.autodiscovery import loadable_targets_from_loaded_module  # noqa: PLC0415 - for commands only

    return loadable_targets_from_loaded_module(module)[0].target_definition
