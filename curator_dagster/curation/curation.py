"""`Curation`: one pipeline with its names and settings in Dagster."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from dagster import (
    AssetDep,
    AssetKey,
    AssetSpec,
    AutomationCondition,
    BackfillPolicy,
    DagsterError,
    DagsterInvalidDefinitionError,
    DynamicPartitionsDefinition,
    HookDefinition,
)

from curator_core import Pipeline, get_backend
from curator_core.errors import ComponentError, ConfigError, CuratorError, EmptySourceError
from curator_core.merge import Tolerance
from curator_core.pipeline import Redactor
from curator_core.run import check_accumulating
from curator_core.session import Listing
from curator_dagster._compat.resources import resource_parameters
from curator_dagster.curation.op_settings import OpRole, OpSettings, settings_of_ops
from curator_dagster.curation.resources import check_parameters
from curator_dagster.curation.runs import CURATION_TAG, tags_of_runs
from curator_dagster.curation.secrets import check_unrecorded, secrets_in
from curator_dagster.curation.setting_checks import (
    check_executor_for,
    check_members,
    check_run_tags,
    check_timezone,
    naming,
    parts_of_prefix,
    upstream_of,
)
from curator_dagster.curation.settings import CurationSettings, PipelineOrFactory
from curator_dagster.translator import CurationAssetProps, CurationTranslator


@dataclass(frozen=True)
class Curation(CurationSettings):
    """A pipeline as Dagster sees it; building one reads no data."""

    name: str
    """Prefix of the assets, name of the partitions definition and of the job."""
    factory: Callable[..., Pipeline[Any]]
    """Builds the pipeline, from resources where it has parameters for these."""
    condition: Callable[[Curation], AutomationCondition[AssetKey]] | None = field(default=None, kw_only=True)
    """Gives the condition on which the dataset is merged by itself."""
    resources: Mapping[str, object] = field(default_factory=dict, kw_only=True, repr=False, compare=False)
    """What the factory is called with, by key; nothing outside of a run."""

    @classmethod
    def of(cls, name: str, pipeline: PipelineOrFactory, **settings: Any) -> Curation:  # noqa: ANN401 - each of its own type
        """Check the settings and wrap a pipeline or a factory of one.

        Parameters
        ----------
        name
            The curation's name.
        pipeline
            A pipeline, or a function that returns one and takes nothing but resources.
        **settings
            Those of `CurationSettings`.

        Raises
        ------
        DagsterInvalidDefinitionError
            A setting is wrong.
        """
        if not name.isidentifier() or not name.isascii():
            raise DagsterInvalidDefinitionError(
                f"The curation's name {name!r} must consist of letters, digits and underscores, a letter first."
            )
        if not (isinstance(pipeline, Pipeline) or callable(pipeline)):
            raise DagsterInvalidDefinitionError(
                f"Curation {name!r} needs a Pipeline or a function that returns one, not {pipeline!r}."
            )
        factory = _copies_of(pipeline) if isinstance(pipeline, Pipeline) else pipeline
        curation = cls(name, factory, **settings)
        check_parameters(name, factory)
        with naming(name):
            curation._check_values()
        curation._check_numbers()
        curation._check_backend()
        curation._check_specs()
        return curation

    def _check_values(self) -> None:
        parts_of_prefix(self.key_prefix)
        settings_of_ops(op_tags=self.op_tags, pool=self.pool, retry_policy=self.retry_policy)
        check_timezone(self.timezone)
        check_run_tags(self.tags, CURATION_TAG)
        check_executor_for(self.executor_for)
        check_members("hooks", self.hooks, HookDefinition, "what @success_hook and @failure_hook make")
        if not isinstance(self.backfill_policy, BackfillPolicy | None):
            raise DagsterInvalidDefinitionError(
                f"backfill_policy must be one of BackfillPolicy, such as BackfillPolicy.multi_run(1000), not "
                f"{self.backfill_policy!r}."
            )

    def _check_numbers(self) -> None:
        if self.batch_size is not None and self.batch_size < 1:
            raise DagsterInvalidDefinitionError(f"Curation {self.name!r}: batch_size must be at least 1.")
        if self.partition_size < 1:
            raise DagsterInvalidDefinitionError(f"Curation {self.name!r}: partition_size must be at least 1.")
        if self.keep_versions is not None and not (type(self.keep_versions) is int and self.keep_versions >= 1):
            raise DagsterInvalidDefinitionError(
                f"Curation {self.name!r}: keep_versions must be a whole number of at least 1, the newest version "
                f"counted, not {self.keep_versions!r}."
            )
        try:
            Tolerance(self.max_missing)
        except ConfigError as exc:
            raise DagsterInvalidDefinitionError(f"Curation {self.name!r}: {exc}") from None

    def _check_backend(self) -> None:
        if self.backend is None:
            if self.backend_options:
                raise DagsterInvalidDefinitionError(f"Curation {self.name!r}: backend_options need a backend.")
            return
        if self.batch_size is not None:
            raise DagsterInvalidDefinitionError(
                f"Curation {self.name!r}: the backend gets all items in one step; leave out batch_size."
            )
        try:
            backend = get_backend(self.backend)
            backend.check_options(dict(self.backend_options or {}))
        except CuratorError as exc:
            raise DagsterInvalidDefinitionError(f"Curation {self.name!r}: {exc}") from None
        if not backend.is_streaming:
            raise DagsterInvalidDefinitionError(
                f"Curation {self.name!r}: the backend {self.backend!r} does not give results one by one."
            )

    def _check_specs(self) -> None:
        samples, dataset = self.samples_spec, self.dataset_spec
        wrong = None
        if samples.key == dataset.key:
            wrong = f"samples and dataset both get the key {samples.key.to_user_string()}; props.asset tells them apart"
        elif samples.key in {dep.asset_key for dep in samples.deps}:
            wrong = "deps has its own samples"
        elif samples.key not in {dep.asset_key for dep in dataset.deps}:
            wrong = (
                f"the translator leaves out that {dataset.key.to_user_string()} depends on "
                f"{samples.key.to_user_string()}: pass props.deps on, as super().get_asset_spec(props) does"
            )
        elif samples.partitions_def not in (None, self.partitions_def) or dataset.partitions_def is not None:
            wrong = "the translator sets a partitions_def, but partitions are the items of the source"
        elif samples.skippable or dataset.skippable:
            wrong = "the translator makes an asset skippable, which those of a curation are not"
        if wrong:
            raise DagsterInvalidDefinitionError(f"Curation {self.name!r}: {wrong}.")

    @cached_property
    def resource_keys(self) -> tuple[str, ...]:
        """Keys of the resources that the factory takes: the names of its parameters that are annotated with one."""
        return resource_parameters(self.factory)

    def with_resources(self, found: Mapping[str, object]) -> Curation:
        """The same with the resources that its factory takes.

        Parameters
        ----------
        found
            Resources by key; others are left out.
        """
        bound = copy.copy(self)  # with what its translator was asked before
        object.__setattr__(bound, "resources", {key: found[key] for key in self.resource_keys if key in found})
        return bound

    @cached_property
    def translation(self) -> CurationTranslator:
        """Says what Dagster shows of the curation.

        Raises
        ------
        DagsterInvalidDefinitionError
            The setting is no translator.
        """
        found = self.translator if self.translator is not None else CurationTranslator()
        if not isinstance(found, CurationTranslator):
            raise DagsterInvalidDefinitionError(
                f"Curation {self.name!r}: translator must be an object of CurationTranslator or of a "
                f"subclass, not {found!r}."
            )
        return found

    @cached_property
    def samples_spec(self) -> AssetSpec:
        """The partitioned asset, as the translator has it."""
        with naming(self.name):
            deps = upstream_of(self.deps)
        return self._translated("samples", deps, None)

    @property
    def upstream_keys(self) -> set[AssetKey]:
        """Assets upstream of the samples."""
        return {dep.asset_key for dep in self.samples_spec.deps}

    @cached_property
    def dataset_spec(self) -> AssetSpec:
        """The merged dataset, as the translator has it."""
        condition = None if self.condition is None else self.condition(self)
        return self._translated("dataset", [AssetDep(self.samples_key)], condition)

    def _translated(
        self,
        asset: Literal["samples", "dataset"],
        deps: Sequence[AssetDep],
        condition: AutomationCondition[AssetKey] | None,
    ) -> AssetSpec:
        props = CurationAssetProps(
            asset=asset,
            name=self.name,
            key_prefix=parts_of_prefix(self.key_prefix),
            group_name=self.name if self.group_name is None else self.group_name,
            deps=deps,
            automation_condition=condition,
            refreshed_by=self.refreshed_by,
            build_pipeline=self.open_pipeline,
        )
        with naming(self.name):
            spec = self.translation.get_asset_spec(props)
        if not isinstance(spec, AssetSpec):
            raise DagsterInvalidDefinitionError(
                f"Curation {self.name!r}: {type(self.translation).__name__}.get_asset_spec returned {spec!r} for "
                f"{asset}, not an AssetSpec."
            )
        return spec

    @cached_property
    def op_settings(self) -> Mapping[OpRole, OpSettings]:
        """Tags, pool and retries of the ops, by role."""
        return settings_of_ops(op_tags=self.op_tags, pool=self.pool, retry_policy=self.retry_policy)

    @property
    def pools(self) -> list[str]:
        """Concurrency pools of its ops."""
        return sorted({settings.pool for settings in self.op_settings.values() if settings.pool is not None})

    @property
    def run_tags(self) -> dict[str, str]:
        """Tags of runs, from when they are requested, so that limits of concurrency see them."""
        return tags_of_runs(self.name, self.tags)

    @property
    def samples_key(self) -> AssetKey:
        """The partitioned asset: one partition per item."""
        return self.samples_spec.key

    @property
    def dataset_key(self) -> AssetKey:
        """The merged dataset."""
        return self.dataset_spec.key

    @property
    def refresh_name(self) -> str:
        """The job that follows the source."""
        return f"{self.name}_refresh"

    @property
    def retry_name(self) -> str:
        """The job that tries again what failed."""
        return f"{self.name}_retry"

    @property
    def refreshed_by(self) -> str:
        """What keeps the assets up to date, for people: Dagster links no job to an asset that its ops materialize."""
        sensor = [] if self.watch is False else [f"sensor `{self.name}_new_data`"]
        schedule = [] if self.schedule is None else [f"schedule `{self.name}_schedule` ({self.schedule})"]
        requested = " and ".join([*sensor, *schedule])
        return f"Refreshed by job `{self.refresh_name}`" + (f", on request of {requested}." if requested else ".")

    @property
    def partitions_def(self) -> DynamicPartitionsDefinition:
        """One partition per item of the source."""
        return DynamicPartitionsDefinition(name=self.name)

    def open_pipeline(self) -> Pipeline[Any]:
        """A fresh pipeline, whose source will be listed anew; recorded, and resuming.

        Raises
        ------
        CuratorError
            The pipeline cannot be built, or cannot work as configured.
        DagsterInvalidDefinitionError
            The factory takes resources, which there are in a run; or gives no pipeline with a sink.
        """
        missing = [key for key in self.resource_keys if key not in self.resources]
        if missing:
            raise DagsterInvalidDefinitionError(
                f"The pipeline of curation {self.name!r} cannot be built here: its factory takes the resource "
                f"{missing[0]!r}, which there is only in the runs, sensors and checks of definitions that have it."
            )
        secrets = secrets_in(self.resources)
        with _explaining_errors(f"The pipeline of curation {self.name!r} cannot be built", secrets):
            pipeline = self.factory(**self.resources)
        if not isinstance(pipeline, Pipeline):
            raise DagsterInvalidDefinitionError(
                f"The factory of curation {self.name!r} returned {pipeline!r}, not a Pipeline."
            )
        if pipeline.sink is None:
            raise DagsterInvalidDefinitionError(f"The pipeline of curation {self.name!r} has no sink.")
        check_unrecorded(pipeline, secrets, f"Curation {self.name!r}")
        kept = pipeline.keep_versions if self.keep_versions is None else self.keep_versions
        return pipeline.with_settings(resume=True, track_metrics=True, keep_versions=kept)

    def list_source(self, pipeline: Pipeline[Any]) -> Listing:
        """The source's listing.

        Raises
        ------
        EmptySourceError
            It is empty: more likely a folder that is not mounted than data that is gone.
        CuratorError
            The pipeline cannot work as configured, the source cannot be listed, or the listing is wrong.
        """
        pipeline.check()
        check_accumulating(pipeline.filters, "a step of Dagster")
        with _explaining_errors(f"The source of {self.name!r} cannot be listed"):
            listing = Listing.of(pipeline.source)
        if not listing.keys:
            raise EmptySourceError(
                f"The source of {self.name!r} ({pipeline.source.component_name()}) lists no items; "
                "the last good dataset and all partitions stay."
            )
        return listing

    def tolerates(self, n_missing: int, n_items: int) -> bool:
        """Whether a dataset may be published without `n_missing` of `n_items` items."""
        return Tolerance(self.max_missing).allows(n_missing, n_items)


@contextmanager
def _explaining_errors(what: str, secrets: Iterable[str] = ()) -> Iterator[None]:
    """A user's factory and source raise what they like: one sentence that says where, without secrets."""
    try:
        yield
    except Exception as exc:
        text = f"{type(exc).__name__}: {exc}"
        cleaned = Redactor(secrets)(text)
        if cleaned != text:
            raise ComponentError(f"{what}: {cleaned}") from None
        if isinstance(exc, CuratorError | DagsterError):
            raise
        raise ComponentError(f"{what}: {text}") from exc


def _copies_of(template: Pipeline[Any]) -> Callable[[], Pipeline[Any]]:
    # The template itself is never listed: a copy sees the source as it is now, not as it was once.
    return lambda: copy.deepcopy(template)
