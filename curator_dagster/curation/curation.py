"""`Curation`: one pipeline with its names and settings in Dagster."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from dagster import AssetKey, DagsterError, DagsterInvalidDefinitionError, DynamicPartitionsDefinition

from curator_core import Pipeline, get_backend
from curator_core.engine.accumulating import check_accumulating
from curator_core.errors import ComponentError, ConfigError, CuratorError, EmptySourceError
from curator_core.merge.publication import Tolerance
from curator_core.session.listing import Listing


@dataclass(frozen=True)
class Curation:
    """A pipeline as Dagster sees it; building one reads no data."""

    name: str
    """Prefix of the assets, name of the partitions definition and of the job."""
    factory: Callable[[], Pipeline[Any]]
    """Builds the pipeline."""
    batch_size: int | None = None
    """Items per batch; ``None`` sizes batches from the number of CPUs."""
    prune: bool = False
    """Remove the partitions of items that vanished."""
    max_missing: int | float = 0
    """Items that may be missing from a published dataset: a number, or a fraction below 1."""
    group_name: str | None = None
    """Asset group."""
    partition_size: int = 1
    """Items per partition."""
    backend: str | None = None
    """Run backend to which the one step that processes items hands them; ``None``: steps process them."""
    backend_options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the backend."""

    @classmethod
    def of(
        cls,
        name: str,
        pipeline: Pipeline[Any] | Callable[[], Pipeline[Any]],
        *,
        batch_size: int | None = None,
        prune: bool = False,
        max_missing: float = 0,
        group_name: str | None = None,
        partition_size: int = 1,
        backend: str | None = None,
        backend_options: Mapping[str, Any] | None = None,
    ) -> Curation:
        """Check the settings and wrap a pipeline or a factory of one.

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
        options = dict(backend_options or {})
        curation = cls(
            name, factory, batch_size, prune, max_missing, group_name, partition_size, backend, backend_options=options
        )
        curation._check_numbers()
        curation._check_backend()
        return curation

    def _check_numbers(self) -> None:
        if self.batch_size is not None and self.batch_size < 1:
            raise DagsterInvalidDefinitionError(f"Curation {self.name!r}: batch_size must be at least 1.")
        if self.partition_size < 1:
            raise DagsterInvalidDefinitionError(f"Curation {self.name!r}: partition_size must be at least 1.")
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
            backend.check_options(dict(self.backend_options))
        except CuratorError as exc:
            raise DagsterInvalidDefinitionError(f"Curation {self.name!r}: {exc}") from None
        if not backend.is_streaming:
            raise DagsterInvalidDefinitionError(
                f"Curation {self.name!r}: the backend {self.backend!r} does not give results one by one."
            )

    @property
    def samples_key(self) -> AssetKey:
        """The partitioned asset: one partition per item."""
        return AssetKey([self.name, "samples"])

    @property
    def dataset_key(self) -> AssetKey:
        """The merged dataset."""
        return AssetKey([self.name, "dataset"])

    @property
    def refresh_name(self) -> str:
        """The job that follows the source."""
        return f"{self.name}_refresh"

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
        """
        with _explaining_errors(f"The pipeline of curation {self.name!r} cannot be built"):
            pipeline = self.factory()
        if not isinstance(pipeline, Pipeline):
            raise DagsterInvalidDefinitionError(
                f"The factory of curation {self.name!r} returned {pipeline!r}, not a Pipeline."
            )
        if pipeline.sink is None:
            raise DagsterInvalidDefinitionError(f"The pipeline of curation {self.name!r} has no sink.")
        return pipeline.with_settings(resume=True, track_metrics=True)

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
def _explaining_errors(what: str) -> Iterator[None]:
    """A user's factory and source raise what they like: one sentence that says where."""
    try:
        yield
    except (CuratorError, DagsterError):
        raise
    except Exception as exc:
        raise ComponentError(f"{what}: {type(exc).__name__}: {exc}") from exc


def _copies_of(template: Pipeline[Any]) -> Callable[[], Pipeline[Any]]:
    # The template itself is never listed: a copy sees the source as it is now, not as it was once.
    return lambda: copy.deepcopy(template)
