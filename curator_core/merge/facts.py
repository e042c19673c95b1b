"""What is known of a published dataset: its variables, their statistics, what each item added."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from curator_core.datasets.aligned.availability import Availability, HasAvailability
from curator_core.filters.checks.results import CheckResult, HasCheckResults
from curator_core.filters.statistics.field_statistics import FieldStatistics, HasStatistics
from curator_core.formats.record_file import RECORD_NAMES
from curator_core.merge.archive import ShardArchive, ShardedOutput, sharded_outputs
from curator_core.pipeline.abilities import ReadsValues
from curator_core.pipeline.components import ShardedFilter, ShardedSink, Variable
from curator_core.storage.locations import location_of
from curator_core.store import MetricsStore

if TYPE_CHECKING:
    from curator_core.pipeline.pipeline import Pipeline

T = TypeVar("T")


@dataclass(frozen=True)
class DatasetFacts:
    """Reads what the components of a pipeline say of the outputs that were published; nothing is kept."""

    pipeline: Pipeline[Any]
    """A pipeline that was gathered."""

    @cached_property
    def sink_output(self) -> ShardedOutput | None:
        """The merged dataset; ``None`` where the sink has none, or none is published yet."""
        published = (output for output in self._published if output.kind == "sink")
        return next(published, None)

    @property
    def has_dataset(self) -> bool:
        """Whether the sink merges its items into a dataset, published or not."""
        return isinstance(self.pipeline.sink, ShardedSink)

    @cached_property
    def statistics_output(self) -> ShardedOutput | None:
        """Published statistics: those gathered last, which are closest to what the sink got."""
        outputs = (
            o for o in reversed(self._published) if o.kind == "filter" and isinstance(o.component, HasStatistics)
        )
        return next(outputs, None)

    @property
    def _published(self) -> list[ShardedOutput]:
        return [output for output in sharded_outputs(self.pipeline) if output.location.exists()]

    @property
    def record_path(self) -> str | None:
        """The file with the Croissant record of the dataset; ``None`` where there is none on this machine."""
        found = self.sink_output
        if found is None:
            return None
        files = (Path(found.readable_path) / name for name in RECORD_NAMES)
        return next((str(file) for file in files if file.is_file()), None)

    @property
    def description(self) -> dict[str, int | float | str]:
        """What the sink says about its dataset, such as the number of structures."""
        found = self.sink_output
        if found is None:
            return {}
        return {str(name): _plain(fact) for name, fact in found.component.describe(found.readable_path).items()}

    @cached_property
    def availability(self) -> Availability | None:
        """What of the dataset is there, where it has places for what is not; else ``None``."""
        found = self.sink_output
        if found is None or not isinstance(found.component, HasAvailability):
            return None
        return found.component.availability(found.readable_path)

    @cached_property
    def schema(self) -> list[Variable]:
        """The dataset's variables, as far as the sink says."""
        found = self.sink_output
        return [] if found is None else list(found.component.schema(found.readable_path))

    @property
    def n_rows(self) -> int | None:
        """Number of rows of the dataset: what the sink says, or the length of its table; else ``None``."""
        found = self.sink_output
        if found is None:
            return None
        own: int | None = found.component.n_rows(found.readable_path)
        if own is None and self.is_table:
            return self.schema[0].shape[0]
        return own

    @property
    def is_table(self) -> bool:
        """Whether the variables are the columns of one table."""
        dims = {variable.dims for variable in self.schema}
        return len(dims) == 1 and len(dims.pop()) == 1

    @cached_property
    def statistics(self) -> list[FieldStatistics]:
        """Statistics of the fields that passed through the pipeline."""
        found = self.statistics_output
        if found is None:
            return []
        if "://" not in found.readable_path:
            return list(found.component.statistics(found.readable_path))
        with TemporaryDirectory(prefix="curator-") as folder:  # the component reads files of this machine
            copy = Path(folder) / found.location.work_path.name
            copy.write_bytes(found.location.read())
            return list(found.component.statistics(str(copy)))

    @property
    def are_statistics_of_the_dataset(self) -> bool:
        """Whether the statistics are of all that the sink got: whole, and not changed by a later filter."""
        found = self.statistics_output
        if found is None or not found.component.is_of_all_items:
            return False
        return all(isinstance(step, ShardedFilter) for step in self.pipeline.filters[found.order :])

    @property
    def check_results(self) -> list[CheckResult]:
        """What filters that check values found, as far as it is published."""
        outputs = [o for o in self._published if o.kind == "filter" and isinstance(o.component, HasCheckResults)]
        return [result for output in outputs for result in output.component.check_results(output.readable_path)]

    def item_statistics(self, keys: Sequence[str]) -> Iterator[tuple[str, list[FieldStatistics]]]:
        """Key and statistics of each of some items; those of which nothing is kept are left out."""
        found = self.statistics_output
        if found is None or not found.archive_path.exists():
            return
        with ShardArchive(found.archive_path) as archive:
            held = archive.versions()
            for key in keys:
                if key in held:
                    yield key, found.component.item_statistics(archive.content(key))

    @property
    def can_read_values(self) -> bool:
        """Whether the sink reads its dataset's values."""
        found = self.sink_output
        return found is not None and isinstance(found.component, ReadsValues)

    def recorded(self) -> tuple[int, dict[str, str]]:
        """Number of items with a result, and the error by key of those whose latest attempt failed."""
        return self._asked(_counted_errors) or (0, {})

    def wall_times(self) -> list[tuple[str, float]]:
        """Key and wall time in seconds of every completed item, in the order of the source."""
        return self._asked(MetricsStore.wall_times) or []

    def _asked(self, question: Callable[[MetricsStore, int], T]) -> T | None:
        """What the database says of the latest run; ``None`` where there is none."""
        path = self.pipeline.db_path
        if path is None or not path.exists():
            return None
        with MetricsStore(path) as store:
            run = store.latest_run(self.pipeline.config_hash)
            return None if run is None else question(store, run.run_id)


def _counted_errors(store: MetricsStore, run_id: int) -> tuple[int, dict[str, str]]:
    return sum(store.counts(run_id).values()), store.errors(run_id)


def size_bytes(path: str) -> int:
    """Size of a published output in bytes."""
    return location_of(path).size()


def _plain(fact: object) -> int | float | str:
    """A fact as a number or text of Python's own, whatever library it comes from."""
    if isinstance(fact, np.generic | np.ndarray) and fact.ndim == 0:
        fact = fact.item()
    if type(fact) in (bool, int, float, str):
        return cast("int | float | str", fact)
    for kind in (int, float, str):
        if isinstance(fact, kind):
            return kind(fact)
    return str(fact)
