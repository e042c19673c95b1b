"""Workflows from YAML: what each entry means, and what is wrong before any step is carried out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from curator_core.errors import ConfigError, MissingDependencyError, UnknownNameError
from curator_core.experiments.data import ExperimentData
from curator_core.pipeline.mapping_files import plain_mapping, read_mapping
from curator_core.pipeline.pipeline import Pipeline
from curator_core.pipeline.registry import imported
from curator_core.slurm import SlurmCluster, SlurmResources
from curator_core.workflow.block import Block
from curator_core.workflow.calls import check_call, check_operation
from curator_core.workflow.instantiation import TARGET, filled
from curator_core.workflow.step import Element, Loop, Step

if TYPE_CHECKING:
    from curator_core.workflow.workflow import Workflow

FILE_SUFFIXES = (".yaml", ".yml", ".json")
Condition = Callable[[ExperimentData], bool]
_ENTRIES = ("name", "steps", "orchestrator_resources", "cluster", "rootdir")
_OPERATIONS = ("block", "function", "pipeline")
_STEP = (*_OPERATIONS, "name", "parallel", "resources", "dependency", "project_dir", "kwargs")
_LOOP = ("n_iterations", "until", "steps")


@dataclass(frozen=True)
class WorkflowFile:
    """A workflow, and where it is meant to run."""

    workflow: Workflow
    """Its steps."""
    cluster: SlurmCluster | None = None
    """Where it runs on SLURM."""
    rootdir: str | None = None
    """Folder of its jobs."""


def read_workflow(config: object, make: type[Workflow], *, file: Path | None = None) -> WorkflowFile:
    """Build the workflow that a file or a configuration describes; nothing is carried out.

    Modules are looked for in the file's folder and in the current one, after everything that is installed; other
    files that it names are looked for in its folder.

    Parameters
    ----------
    config
        Path of a YAML or JSON file, a mapping with its entries, or an OmegaConf configuration.
    make
        The class of workflows.
    file
        The file that a mapping is of.

    Raises
    ------
    ConfigError
        It describes no workflow; the message names the step.
    """
    if isinstance(config, str | os.PathLike):
        where, entries = os.fspath(config), read_mapping(config)
        file = Path(where)
    else:
        where = "workflow" if file is None else str(file)
        entries = plain_mapping(config, where=where)
    folder = Path.cwd() if file is None else file.absolute().parent
    sys.path.extend(path for path in dict.fromkeys([str(folder), str(Path.cwd())]) if path not in sys.path)
    try:
        return _Reader(folder, make).workflow(entries, where, name="" if file is None else file.stem)
    except RecursionError:
        raise ConfigError(f"{where} is nested too deep, or contains itself.") from None


@dataclass(frozen=True)
class _Reader:
    """Reads entries; every method gets their place, for messages."""

    folder: Path
    """Where other files are."""
    make: type[Workflow]
    """The class of workflows."""

    def workflow(self, entries: Mapping[str, Any], where: str, *, name: str) -> WorkflowFile:
        _check_known(entries, _ENTRIES, where)
        steps = tuple(self._element(entry, at) for entry, at in _listed(entries.get("steps"), f"{where}: steps"))
        resources, cluster = entries.get("orchestrator_resources"), entries.get("cluster")
        with _located(where):
            workflow = self.make(
                name=_text(entries, "name", where) or name,
                steps=steps,
                orchestrator_resources=None if resources is None else SlurmResources.from_yaml(resources),
            )
            made = None if cluster is None else SlurmCluster.from_yaml(self._named(cluster))
        return WorkflowFile(workflow, made, _text(entries, "rootdir", where) or None)

    def _element(self, entry: object, where: str) -> Element:
        if isinstance(entry, Mapping) and "loop" in entry:
            _check_known(entry, ["loop"], where)
            return self._loop(entry["loop"], f"{where}.loop")
        return self._step(entry, where)

    def _loop(self, entry: object, where: str) -> Loop:
        entries = _mapping(entry, where)
        _check_known(entries, _LOOP, where)
        listed = _listed(entries.get("steps"), f"{where}.steps")
        if any(isinstance(one, Mapping) and "loop" in one for one, _ in listed):
            raise ConfigError(f"{where}: a loop cannot hold another one.")
        until = None
        if entries.get("until") is not None:
            until = _function(entries["until"], f"{where}.until")
            check_call(until, (None,), {}, f"{where}.until")
        steps = [self._step(one, at) for one, at in listed]
        with _located(where):
            return Loop(entries.get("n_iterations", 1), steps, cast("Condition | None", until))

    def _step(self, entry: object, where: str) -> Step:
        entries = _mapping(entry, where)
        _check_known(entries, _STEP, where)
        name = _text(entries, "name", where)
        where = f"{where} ({name})" if name else where
        kinds = [kind for kind in _OPERATIONS if entries.get(kind) is not None]
        if len(kinds) != 1:
            raise ConfigError(
                f"{where}: a step needs one of {', '.join(_OPERATIONS)}, and has {' and '.join(kinds) or 'none'}."
            )
        operation = getattr(self, f"_{kinds[0]}")(entries[kinds[0]], f"{where}: {kinds[0]}")
        parallel, kwargs = entries.get("parallel", False), _mapping(entries.get("kwargs") or {}, f"{where}: kwargs")
        if not isinstance(parallel, bool):
            raise ConfigError(f"{where}: parallel must be true or false, not {parallel!r}.")
        kwargs = filled(kwargs, where=f"{where}: kwargs", kind=Block)
        check_operation(operation, kwargs, where)
        with _located(where):
            return Step(
                operation,
                name=name,
                parallel=parallel,
                resources=SlurmResources.of(self._named(entries.get("resources"))),
                dependency=entries.get("dependency", "afterok"),
                project_dir=_text(entries, "project_dir", where) or ".",
                kwargs=kwargs,
            )

    def _block(self, given: object, where: str) -> Block:
        if isinstance(given, str):
            found = imported(given, where=where)
            if isinstance(found, Block):
                return found
            if not isinstance(found, type):  # a function is called only where its arguments are written
                raise ConfigError(
                    f"{where}: {given!r} is no Block, but {found!r}; a function that gives one is a {TARGET}."
                )
            given = {TARGET: given}
        if not isinstance(given, Mapping) or TARGET not in given:
            raise ConfigError(f"{where}: expected the name of a class, or {TARGET} and its arguments; got {given!r}.")
        with _located(where):
            return Block.from_yaml(given)

    def _function(self, given: object, where: str) -> Callable[..., object]:
        return _function(given, where)

    def _pipeline(self, given: object, where: str) -> Pipeline[Any]:
        try:
            built = self._built(given, where)
        except (ConfigError, MissingDependencyError):
            raise
        except (ImportError, OSError, TypeError, ValueError) as exc:  # raised by the components' own constructors
            raise ConfigError(f"{where}: it cannot be built: {type(exc).__name__}: {exc}") from exc
        if not isinstance(built, Pipeline):
            raise ConfigError(f"{where}: {given!r} is no Pipeline, but {built!r}.")
        if built.sink is None:
            raise ConfigError(f"{where}: the pipeline has no sink, so its items would go nowhere.")
        return built

    def _built(self, given: object, where: str) -> object:
        if isinstance(given, Mapping):
            return Pipeline.from_mapping(given, where=where)
        if not isinstance(given, str):
            raise ConfigError(f"{where}: expected a pipeline file, its entries, or module:name; got {given!r}.")
        if given.endswith(FILE_SUFFIXES):
            with _located(where):
                return Pipeline.load(self.folder / given)
        found = imported(given, where=where)
        return found() if callable(found) and not isinstance(found, type) else found

    def _named(self, given: object) -> object:
        """Settings, or the path of the file they are in."""
        return self.folder / given if isinstance(given, str) else given


def _function(given: object, where: str) -> Callable[..., object]:
    if not isinstance(given, str):
        raise ConfigError(f"{where}: expected the name of a function, such as module.name; got {given!r}.")
    found = imported(given, where=where)
    for kind in (Block, Pipeline):
        if isinstance(found, kind) or (isinstance(found, type) and issubclass(found, kind)):
            raise ConfigError(f"{where}: {given} is a {kind.__name__}: write `{kind.__name__.lower()}: {given}`.")
    if not callable(found):
        raise ConfigError(f"{where}: {given} is no function, but {found!r}.")
    return found


@contextmanager
def _located(where: str) -> Iterator[None]:
    """Say where a setting is wrong."""
    try:
        yield
    except ConfigError as exc:
        raise ConfigError(f"{where}: {exc}") from exc


def _check_known(entries: Mapping[str, Any], known: tuple[str, ...] | list[str], where: str) -> None:
    for name in entries:
        if name not in known:
            raise UnknownNameError(f"{where}: {UnknownNameError.of('entry', name, known)}")


def _mapping(given: object, where: str) -> dict[str, Any]:
    return plain_mapping(given, where=where)


def _listed(given: object, where: str) -> list[tuple[Any, str]]:
    if not isinstance(given, list):
        raise ConfigError(f"{where} must be a list of steps, not {given!r}.")
    return [(entry, f"{where}[{position}]") for position, entry in enumerate(given)]


def _text(entries: Mapping[str, Any], name: str, where: str) -> str:
    given = entries.get(name)
    if given is not None and not isinstance(given, str):
        raise ConfigError(f"{where}: {name} must be a text, not {given!r}; put it in quotes.")
    return given or ""
