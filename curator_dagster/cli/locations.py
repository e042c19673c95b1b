"""From a module or file with Dagster definitions to what has partitions in it, and to the instance they live on."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from dagster import DagsterError, DagsterInstance, Definitions

from curator_core.cli import import_from_here
from curator_core.errors import ConfigError, UnknownNameError
from curator_dagster._compat.loading import definitions_of
from curator_dagster.curation.curation import Curation
from curator_dagster.curation.located import curations_in
from curator_dagster.metadata.location import objects_defined

if TYPE_CHECKING:
    from curator_dagster.workflow.study import Study


def load_followed(
    *, module: str | None, file: Path | None, attribute: str | None
) -> tuple[Definitions, dict[str, Curation | Study]]:
    """What ``dagster dev`` would load with the same options, and the curations and workflows in it by name.

    No data is read.

    Parameters
    ----------
    module, file
        One of them: a module that can be imported, or a Python file.
    attribute
        The definitions in it, or a function that gives them; found by themselves when there is only one.

    Raises
    ------
    ConfigError
        It cannot be imported, holds neither, or has a name for two of them.
    """
    place = module if module is not None else str(file)
    try:
        loaded = _import(module, file)
        found = definitions_of(loaded) if attribute is None else _attribute(loaded, attribute, place)
        if callable(found):
            found = found()
    except DagsterError as exc:
        raise ConfigError(f"{place}: {exc}") from exc
    if not isinstance(found, Definitions):
        raise ConfigError(f"{place}: expected Dagster definitions, found {found!r}. Name them with -a.")
    named = _followed(found, place)
    if not named:
        raise ConfigError(
            f"{place}: no curation in these definitions, and no workflow; build_curation_defs makes one, "
            "build_workflow_defs the other."
        )
    return found, named


def _followed(found: Definitions, place: str) -> dict[str, Curation | Study]:
    curations = curations_in(found)
    if not objects_defined(found, "workflow"):  # which need an extra of their own
        return dict(curations)
    from curator_dagster.workflow.partitions import studies_in  # noqa: PLC0415 - as above

    studies = studies_in(found)
    for name in curations.keys() & studies.keys():
        raise ConfigError(
            f"{place}: a curation and a workflow are both named {name!r}, and share partitions. Give one of them "
            "another name."
        )
    return curations | studies


def chosen(named: dict[str, Curation | Study], names: Iterable[str]) -> list[Curation | Study]:
    """Those with these names, all when there are none.

    Raises
    ------
    UnknownNameError
        There is none of that name.
    """
    for name in names:
        if name not in named:
            raise UnknownNameError.of("curation", name, named)
    return [named[name] for name in names or named]


def configured_instance() -> DagsterInstance:
    """The Dagster instance that ``$DAGSTER_HOME`` names.

    Raises
    ------
    ConfigError
        It is not set, or its ``dagster.yaml`` cannot be used.
    """
    try:
        return DagsterInstance.get()
    except DagsterError as exc:
        raise ConfigError(f"The Dagster instance cannot be opened: {exc}") from exc


def _import(module: str | None, file: Path | None) -> ModuleType:
    import_from_here()
    try:
        if file is None:
            assert module is not None  # noqa: S101 - one of the two is given
            return importlib.import_module(module)
        spec = importlib.util.spec_from_file_location(file.stem, file)
        if spec is None or spec.loader is None:
            raise ConfigError(f"{file} is no Python file.")
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[file.stem] = loaded  # so that what it defines can be found by its name
        spec.loader.exec_module(loaded)
    except (ImportError, OSError, SyntaxError) as exc:
        raise ConfigError(f"{file or module} cannot be imported: {type(exc).__name__}: {exc}") from exc
    return loaded


def _attribute(module: ModuleType, name: str, place: str) -> object:
    if not hasattr(module, name):
        raise UnknownNameError.of(f"attribute of {place}", name, (n for n in vars(module) if not n.startswith("_")))
    return getattr(module, name)
