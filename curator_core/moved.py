"""Modules under the names that they had before, for pickles, submitted job scripts and code of others.

A module that has moved is found under its former name, too: it is the same module, and one sentence says where it is.
What is identified by its module keeps the identity that its former place gave it, see `former_name`.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import InspectLoader, MetaPathFinder
else:  # what they are called for is below, and importing them takes longer than everything else here
    InspectLoader = MetaPathFinder = object

_NEW_NAMES: dict[str, str] = {}
_FORMER_NAMES: dict[str, str] = {}


def former_name(module: str) -> str:
    """Name that a module had when identities of its classes were first recorded."""
    return _FORMER_NAMES.get(module, module)


def former_names() -> dict[str, str]:
    """Every former name, and the present one of the module; those that are names of packages now left out."""
    return {former: now for former, now in _NEW_NAMES.items() if not now.startswith(f"{former}.")}


def moved(root: str, places: Iterable[tuple[str, str]], *, to: str | None = None) -> None:
    """Modules of a package have moved.

    Parameters
    ----------
    root
        The package.
    places
        Where they are now, and what they were: names with dots below `root`, separated by spaces, with ``=name`` where
        the last part differs.
    to
        The package that they are in now, where that is another.
    """
    for folder, words in places:
        for word in words.split():
            old, _, new = word.partition("=")
            now = ".".join(part for part in (to or root, folder, new or old.rpartition(".")[2]) if part)
            _NEW_NAMES[f"{root}.{old}"] = now
            _FORMER_NAMES[now] = f"{root}.{old}"


def attributes_of(package: str, module: str) -> Callable[[str], object]:
    """A ``__getattr__`` for a package that has the name of what is one of its modules now."""

    def attribute(name: str) -> object:
        if name.startswith("__") or _spec(f"{package}.{name}") is not None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(module), name)

    return attribute


def names_in(
    package: str, homes: Mapping[str, str], otherwise: Callable[[str], object] | None = None
) -> Callable[[str], object]:
    """A ``__getattr__`` for a package whose public names are loaded when they are first asked for.

    Parameters
    ----------
    package
        The package.
    homes
        Module by name.
    otherwise
        Asked for other names.
    """

    def attribute(name: str) -> object:
        if name in homes:
            found: object = getattr(import_module(homes[name]), name)
            setattr(sys.modules[package], name, found)
            return found
        if otherwise is not None:
            return otherwise(name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return attribute


def _spec(module: str) -> ModuleSpec | None:
    """Where a module of a package is, ``None`` where there is none; `importlib.util` takes longer to import."""
    return PathFinder.find_spec(module, import_module(module.rpartition(".")[0]).__path__)


class _Finder(MetaPathFinder):
    def find_spec(self, fullname: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        new = _NEW_NAMES.get(fullname)
        return None if new is None else ModuleSpec(fullname, _Loader(new))


class _Loader(InspectLoader):
    def __init__(self, new: str) -> None:
        self._new = new

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        former = module.__name__
        warnings.warn(f"{former} has moved: import {self._new} instead.", DeprecationWarning, stacklevel=2)
        sys.modules[former] = import_module(self._new)

    def get_code(self, fullname: str) -> CodeType | None:
        spec = _spec(self._new)
        loader: object = None if spec is None else spec.loader
        return loader.get_code(self._new) if isinstance(loader, SourceFileLoader) else None

    def get_source(self, fullname: str) -> str | None:
        return None

    def is_package(self, fullname: str) -> bool:
        return False


sys.meta_path.append(_Finder())
moved(
    "curator_core",
    [
        ("storage", "atomic disk locks presence=missing private written places input_files filters.outputs"),
        (
            "pipeline",
            (
                "annotations calls components config context=current file_values fitting kinds "
                "mapping_files params pipeline queries registry"
            ),
        ),
        (
            "session",
            ("claims former_formats listing live lookup overwriting plan returning ungathered settle=compaction"),
        ),
        ("store", "store.schema=columns store.kinds=checked"),
        ("formats", "store.tabular"),
        ("merge", "output_names shards=archive"),
        (
            "filters.statistics",
            (
                "filters.statistics=filter filters.field_statistics filters.fields filters.histogram "
                "filters.moments filters.sketch filters.split filters.summary"
            ),
        ),
        (
            "domains.atoms.ase_lmdb",
            "domains.atoms.lmdb_entries=entries domains.atoms.lmdb_pages=pages domains.atoms.lmdb_rows=rows",
        ),
        ("report", "report.queries=run_data"),
        (
            "cli.commands",
            (
                "cli.backends cli.cache cli.components cli.export cli.gather cli.plan cli.report cli.retry "
                "cli.run cli.status"
            ),
        ),
        (
            "run.workers",
            "run.worker run.keeper run.settings run.sealed run.start_method run.board=heartbeats run.ability",
        ),
        ("run.scheduling", "run.chunks run.dispatch run.losses=crash_recovery run.owners run.monitor"),
        ("run", "run.interrupts=signals gather=gathering"),
        (
            "run.backends.slurm",
            (
                "run.slurm_array=array run.slurm_coordinator=coordinator run.slurm_task=task "
                "run.slurm_usage=usage run.slurm_watch=watch run.backends.slurm=backend"
            ),
        ),
        (
            "experiments",
            (
                "workflow.experiments=data workflow.experiment_table=base workflow.experiment_changes=changes "
                "workflow.experiment_exports=exports workflow.table workflow.given=coerce "
                "workflow.samples=sample workflow.frames workflow.reading workflow.cells=typed_csv "
                "workflow.objects=references workflow.failure"
            ),
        ),
        ("experiments.design", "workflow.domain workflow.parameters workflow.search_space workflow.sampling=designs"),
        (
            "experiments.stored",
            (
                "workflow.experiment_files=files workflow.claims workflow.results workflow.collection "
                "workflow.foreign_lock workflow.foreign_results"
            ),
        ),
        ("workflow", "workflow.course=sequence workflow.progress=state workflow.workflow_config=config"),
        ("workflow.slurm", "workflow.slurm_jobs=jobs workflow.slurm_step=step workflow.orchestrator"),
        (
            "cli.workflow",
            (
                "cli.workflow_loading=loading cli.workflow_progress=progress "
                "cli.workflow_run=run cli.workflow_status=status cli.workflow_tables=tables"
            ),
        ),
    ],
)
