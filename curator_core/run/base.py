"""The contract of a backend, and the registry of backends."""

from __future__ import annotations

from abc import ABC
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, ClassVar, Self

from curator_core.errors import (
    ConfigError,
    DuplicateNameError,
    MissingDependencyError,
    UnknownNameError,
)
from curator_core.pipeline.components import required_sink
from curator_core.pipeline.pipeline import Pipeline
from curator_core.pipeline.registry import Registry
from curator_core.records import IndexResult, WorkerUsage
from curator_core.run.config import RunConfig
from curator_core.run.options import Option, Options
from curator_core.run.partition import pipeline_groups
from curator_core.session.listing import Listing

_OF_A_CLASS_ALONE = {"copies_pipeline": True, "loop_with_one_worker": False}
"""Flags that are not inherited: a class that is derived from one may process items in another way."""
_OPTION_OF_FLAG = {"takes_timeout": "timeout", "cancels_on_interrupt": "cancel_on_interrupt"}


class RunBackend(ABC):  # noqa: B024 - one of two methods is overridden, see below
    """How indices are spread over workers.

    Override `stream`, or, for a simple backend, `run` alone: ``[pipeline[i] for i in config.indices]``
    is a complete one. A failing index must not stop the others: in `stream` it is a result with status
    ``error``; in `run`, ``pipeline[i]`` records it and returns ``[]``.
    """

    name: ClassVar[str] = ""
    """Name in ``run_pipeline(backend=…)``."""
    description: ClassVar[str] = ""
    """One sentence for listings."""
    requires: ClassVar[tuple[str, ...]] = ()
    """Packages that must be installed."""
    extra: ClassVar[str] = ""
    """Extra of ``curator-dagster`` that installs them."""
    options: ClassVar[Options] = None
    """The backend's options by name, or their names alone, so that others are refused; ``None`` accepts any."""
    copies_pipeline: ClassVar[bool] = True
    """Whether workers have copies of the pipeline, whose components must be possible to pickle. A backend that says no
    processes the pipeline itself in this process, one item after the other: components may keep what they gather. Not
    inherited."""
    loop_with_one_worker: ClassVar[bool] = False
    """Whether a plain loop (`sequential`) is taken instead where there is one worker: it does the same, unless an
    option is given that is `Option.beyond_loop`. Not inherited."""
    takes_timeout: ClassVar[bool] = False
    """Whether it stops an item that takes longer than the option ``timeout``; by default, whether `options` has it."""
    cancels_on_interrupt: ClassVar[bool] = False
    """Whether what workers do outlives an interrupt unless the option ``cancel_on_interrupt`` is true; by default,
    whether `options` has it."""

    def __init_subclass__(cls, **arguments: Any) -> None:  # noqa: ANN401 - as of other base classes
        """Set the flags that are not inherited, or follow from the options, where the class does not."""
        super().__init_subclass__(**arguments)
        for flag, default in _OF_A_CLASS_ALONE.items():
            if flag not in vars(cls):
                setattr(cls, flag, default)
        if "options" in vars(cls):
            for flag, option in _OPTION_OF_FLAG.items():
                if flag not in vars(cls):
                    setattr(cls, flag, option in (cls.options or ()))

    def __new__(cls, *_args: object, **_kwargs: object) -> Self:
        """Refuse a class that says in neither way how items are processed."""
        if not _is_complete(cls):
            raise TypeError(f"Can't instantiate abstract class {cls.__name__}: override stream() or run().")
        return super().__new__(cls)

    @classmethod
    def is_available(cls) -> bool:
        """Whether all required packages are installed."""
        return all(find_spec(package) is not None for package in cls.requires)

    @classmethod
    def declared_option(cls, name: str) -> Option | None:
        """What the class, or one that it is derived from, declares of an option; ``None`` for its name alone."""
        for declaring in cls.__mro__:
            options = vars(declaring).get("options")
            if isinstance(options, Mapping) and name in options:
                declared = options[name]
                return declared if isinstance(declared, Option) else None
        return None

    @classmethod
    def check_options(cls, options: dict[str, Any]) -> None:
        """Refuse unknown options, wrong values and missing packages, before any item is processed.

        Raises
        ------
        ConfigError
            An option is unknown (the message lists the known ones), or its value is none that it can have.
        MissingDependencyError
            A required package is not installed.
        """
        for name, value in options.items():
            if cls.options is not None and name not in cls.options:
                raise UnknownNameError.of(f"option of backend {cls.name!r}", name, cls.options)
            declared = cls.declared_option(name)
            if declared is not None and declared.check is not None:
                declared.check(value)
        for package in cls.requires:
            if find_spec(package) is None:
                raise MissingDependencyError.of(package, cls.extra or package, f"Backend {cls.name!r}")

    @classmethod  # noqa: B027 - most have nothing to refuse
    def check_script(cls, options: dict[str, Any]) -> None:
        """Refuse a script whose workers would run it from its top, before it does something else first.

        Raises
        ------
        ConfigError
            The script lacks the guard that Python's multiprocessing asks for.
        """

    def stream(self, pipeline: Pipeline[Any], config: RunConfig) -> Generator[IndexResult, None, None]:
        """Yield the result of every index, in any order, as it completes."""
        raise NotImplementedError

    def usage(self) -> Sequence[WorkerUsage]:
        """What the workers used where a cluster keeps accounts; asked for when a run has ended."""
        return ()

    def recorded(self) -> None:  # noqa: B027 - most have nothing to do
        """Called when a run has ended and all of its results are recorded."""

    def run(self, pipeline: Pipeline[Any], config: RunConfig) -> list[list[str]]:
        """Process all indices; the sink's paths in the order of ``config.indices``."""
        if config.indices is None or len(config.items) != len(config.indices):  # it was not made by `run_pipeline`
            config = _of_source(pipeline, config)
        paths = {result.index: list(result.output_paths) for result in self.stream(pipeline, config)}
        return [paths[item.index] for item in config.items]

    @property
    def is_streaming(self) -> bool:
        """Whether `stream` is overridden."""
        return type(self).stream is not RunBackend.stream


def _of_source(pipeline: Pipeline[Any], config: RunConfig) -> RunConfig:
    """A configuration that names its items, and their groups."""
    sink = required_sink(pipeline.sink)
    listing = Listing.of(pipeline.source)
    indices = listing.checked(config.indices)
    groups = config.groups or pipeline_groups(pipeline.source, sink, indices)
    return replace(config, indices=indices, items=listing.items(indices), groups=groups)


BUILT_IN_BACKENDS: Mapping[str, str] = MappingProxyType(
    {
        "dagster": "curator_dagster.backend.backend:DagsterBackend",
        "dask": "curator_core.run.backends.dask:DaskBackend",
        "loky": "curator_core.run.backends.loky:LokyBackend",
        "prefect": "curator_core.run.backends.prefect:PrefectBackend",
        "process_pool": "curator_core.run.backends.process_pool:ProcessPoolBackend",
        "sequential": "curator_core.run.backends.sequential:SequentialBackend",
        "slurm": "curator_core.run.backends.slurm.backend:SlurmBackend",
        "thread_pool": "curator_core.run.backends.thread_pool:ThreadPoolBackend",
    }
)
"""Where our own are. Those of other packages are declared by entry points, as `dagster` is in an installation."""

backends: Registry[RunBackend] = Registry("backend", "curator.backends", RunBackend, BUILT_IN_BACKENDS)


def _is_complete(cls: type) -> bool:
    return {getattr(cls, "stream", None), getattr(cls, "run", None)} != {RunBackend.stream, RunBackend.run}


def register_backend(cls: type[RunBackend]) -> type[RunBackend]:
    """Make a backend known by its name; usable as a class decorator.

    Raises
    ------
    DuplicateNameError
        The name is taken.
    """
    if not getattr(cls, "name", ""):
        raise ConfigError(f"A backend must be a subclass of RunBackend with a name, not {cls!r}.")
    if not _is_complete(cls):
        raise ConfigError(f"The backend {cls.name!r} must override stream() or run().")
    if backends.has(cls.name):
        raise DuplicateNameError(f"A backend named {cls.name!r} is registered already.")
    return backends.register(cls.name, cls)


def get_backend(name: str) -> RunBackend:
    """An instance of the backend of that name.

    Raises
    ------
    UnknownNameError
        There is none; the message lists the known ones.
    """
    return backends.get(name)()


def list_backends() -> dict[str, dict[str, Any]]:
    """Description, availability and requirements of every backend by name."""
    found: dict[str, dict[str, Any]] = {}
    for name in backends.names():
        try:
            cls = backends.get(name)
        except ConfigError as exc:  # another package is broken: the others still work
            found[name] = {"description": str(exc), "available": False, "requires": []}
            continue
        found[name] = {
            "description": cls.description,
            "available": cls.is_available(),
            "requires": list(cls.requires),
        }
    return found
