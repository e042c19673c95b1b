"""`CurationSettings`: all that can be set of a curation, once for Python and ``defs.yaml``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, runtime_checkable

from dagster import (
    AssetCheckResult,
    AssetChecksDefinition,
    AssetDep,
    AssetKey,
    AssetsDefinition,
    AssetSpec,
    BackfillPolicy,
    ExecutorDefinition,
    HookDefinition,
    RetryPolicy,
)

from curator_core import Pipeline
from curator_dagster.curation.op_settings import OpRole
from curator_dagster.translator import CurationTranslator

Upstream = AssetKey | str | Sequence[str] | AssetDep | AssetSpec | AssetsDefinition
"""An asset upstream, as Dagster takes it for ``deps``."""


@runtime_checkable
class EvaluatedCheck(Protocol):
    """A check with settings of its own, such as `CoverageCheck`."""

    @property
    def name(self) -> str:
        """Its name in Dagster."""

    def evaluate(self, subject: Any) -> AssetCheckResult:  # noqa: ANN401 - what is checked, of a layer above
        """Its result."""


Check = str | Callable[[str], Any] | EvaluatedCheck | AssetChecksDefinition
"""Name of a built-in check, a function of the dataset's path, bounds of what is there, or a check of Dagster's own."""
PipelineOrFactory = Pipeline[Any] | Callable[..., Pipeline[Any]]
"""A pipeline, or what builds it, from resources where it has parameters that are annotated with them."""


@dataclass(frozen=True, kw_only=True)
class CurationSettings:
    """Settings of a curation, as `build_curation_defs` takes them by keyword, and ``defs.yaml`` by name."""

    executor: ExecutorDefinition | None = None
    """Carries the work; `curation_executor` by default. Dagster has one executor for the assets of a code location:
    give all curations in it, and your own definitions, the same object."""
    executor_for: Literal["all", "jobs"] = "all"
    """Whom the executor is for: the curation's jobs, and as the one of the code location also runs of assets; or
    ``"jobs"`` alone, for curations of one location whose executors differ: Dagster merges no two of them."""
    batch_size: int | None = None
    """Items per step; sized from the number of CPUs by default."""
    partition_size: int = 1
    """Items per partition. Dagster advises at most 100,000 partitions of an asset: for larger sources, a partition
    stands for a block of neighbouring items."""
    prune: bool = False
    """Remove the partitions of items that vanished from the source."""
    max_missing: int | float = 0
    """Publish the dataset although this many items failed: a number, or a fraction below 1."""
    keep_versions: int | None = None
    """Versions of the dataset that are kept, the newest counted; the pipeline's own number by default, which is 2."""
    checks: bool | Sequence[Check] = True
    """Asset checks of the dataset: the built-in ones by default, none if false. A list is exactly what there is: names
    of built-in checks, functions that get the dataset's path and return a ``bool`` or an ``AssetCheckResult``, a
    `CoverageCheck`, and asset checks of Dagster's own."""
    key_prefix: str | Sequence[str] | None = None
    """What stands before ``{name}`` in the keys of the assets: a text, or a list of them."""
    group_name: str | None = None
    """Asset group; the curation's name by default."""
    watch: bool | float | None = None
    """The sensor ``{name}_new_data`` looks at the source every 30 seconds, or at this interval in seconds, and requests
    a refresh when something changed; ``False`` for no such sensor."""
    schedule: str | None = None
    """Cron expression of a schedule ``{name}_schedule`` for the refresh job."""
    timezone: str = "UTC"
    """Time zone of the cron expression, such as ``Europe/Berlin``."""
    deps: Sequence[Upstream] | None = None
    """Assets upstream of ``{name}/samples``: keys, definitions, or what else Dagster takes as ``deps``. A run that does
    both waits for them."""
    op_tags: Mapping[str, Any] | None = None
    """Tags of the ops that process items, such as ``dagster-k8s/config``; or ``{"process": …, "dataset": …}``, where
    those that merge, publish and check get tags of their own."""
    pool: str | Mapping[OpRole, str | None] | None = None
    """Concurrency pool of the ops that process items, or by role as ``op_tags``."""
    retry_policy: RetryPolicy | Mapping[OpRole, RetryPolicy | None] | None = None
    """When a step of the ops that process items is tried again that died or failed as a whole, or by role as
    ``op_tags``; one retry of a step that processes by default. An item that fails does not fail its step."""
    tags: Mapping[str, Any] | None = None
    """Tags of the runs of the jobs, and of those that the automation requests, from when they are requested; besides
    ``curator/curation`` with the curation's name."""
    hooks: AbstractSet[HookDefinition] | None = None
    """Hooks of every op of the jobs and assets, on success or failure of its step."""
    backfill_policy: BackfillPolicy | None = None
    """How many partitions of the samples a run of a backfill takes: all that are neighbours by default."""
    start_automation: bool = False
    """Sensors and schedule run from the moment they are loaded; otherwise each is turned on in the UI."""
    backend: str | None = None
    """Run backend that processes the items, such as ``"slurm"``: one step hands it all that are due, and records what
    comes back."""
    backend_options: Mapping[str, Any] | None = None
    """Its options, see `run_pipeline`; for ``"slurm"`` the keys ``cluster`` and ``resources``."""
    translator: CurationTranslator | None = None
    """Says what Dagster shows: keys, groups, owners, tags, descriptions of the assets, metadata of what they
    materialize."""


P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class TakesSettings(Protocol[P, R_co]):
    """A function of a name, a pipeline and, by keyword, the settings."""

    __doc__: str | None

    def __call__(self, name: str, pipeline: PipelineOrFactory, *args: P.args, **settings: P.kwargs) -> R_co:
        """Call it."""
        ...


def with_settings(
    record: Callable[P, CurationSettings],
) -> Callable[[Callable[[str, PipelineOrFactory, CurationSettings], R]], TakesSettings[P, R]]:
    """Decorator: a function of a record of settings takes them by keyword, with the record's defaults and types."""

    def decorate(function: Callable[[str, PipelineOrFactory, CurationSettings], R]) -> TakesSettings[P, R]:
        def taking(name: str, pipeline: PipelineOrFactory, *args: P.args, **settings: P.kwargs) -> R:
            return function(name, pipeline, record(*args, **settings))

        own = inspect.signature(function)
        settings = inspect.signature(record).parameters.values()
        update_wrapper(taking, function)
        taking.__signature__ = own.replace(parameters=[*list(own.parameters.values())[:2], *settings])  # type: ignore[attr-defined]
        return taking

    return decorate
