"""`Session`: a pipeline that acts, with one listing of its source, one reader and one writer of its records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from curator_core.errors import PipelineStateError
from curator_core.merge.archive import ShardedOutput, sharded_outputs
from curator_core.merge.publication import PublishedDataset
from curator_core.pipeline.components import ShardedSink, Sink, required_sink
from curator_core.pipeline.config import canonical_json, config_hash
from curator_core.session.claims import Turn, claimed_outputs
from curator_core.session.compaction import follow_moves
from curator_core.session.former_formats import tell_former_database, tell_former_runs
from curator_core.session.listing import Listing
from curator_core.session.live import live_outputs
from curator_core.session.merging import publish_outputs
from curator_core.session.overwriting import look_at_outputs, shares_no_files
from curator_core.session.plan import Comparison, Plan, compare, make_plan
from curator_core.session.ungathered import is_as_declared, outputs_to_gather
from curator_core.store import MetricsStore, StoreWriter, await_journals, journal_directory

if TYPE_CHECKING:
    from curator_core.datasets.workers import Encode
    from curator_core.pipeline.pipeline import Pipeline

WAIT_S = 5.0
"""How long workers of another run are waited for, seconds."""


class Session:
    """Lists the source once, and opens the records once for reading and once for writing, when each is first needed.

    Nothing is locked before `claim`, which `open` calls; nobody else writes the records from the first use of
    `writer` until `rest` or the end.

    Parameters
    ----------
    pipeline
        The pipeline.
    resume
        Whether results of earlier runs count; the pipeline's own setting by default.
    listing
        What the source lists, or who lists it; the source is listed when that is first needed by default.
    """

    def __init__(
        self,
        pipeline: Pipeline[Any],
        *,
        resume: bool | None = None,
        listing: Listing | Callable[[], Listing] | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.resume = pipeline.resume if resume is None else resume
        self.n_items: int | None = None
        """Number of items to be recorded for the run; that of the listing by default."""
        self.encode: Encode | None = None
        """Who encodes the segments of datasets that `gather` publishes; this process by default."""
        self._listing = listing if isinstance(listing, Listing) else None
        self._list = listing if callable(listing) else lambda: Listing.of(pipeline.source)
        self._claims = ExitStack()
        self._store: MetricsStore | None = None
        self._writer: StoreWriter | None = None
        self._comparison: Comparison | None = None
        self._plan: Plan | None = None

    @classmethod
    def open(
        cls,
        pipeline: Pipeline[Any],
        *,
        resume: bool | None = None,
        listing: Listing | Callable[[], Listing] | None = None,
        turn: Turn | None = None,
    ) -> Self:
        """A session that holds the pipeline's items and merged outputs, see `claim`.

        Parameters
        ----------
        pipeline, resume, listing
            As for the class.
        turn
            Who may hold it at the same time.
        """
        session = cls(pipeline, resume=resume, listing=listing)
        session.claim(turn)
        return session

    def claim(self, turn: Turn | None = None) -> None:
        """Hold the items and merged outputs until the end; nobody else processes, writes or merges them meanwhile.

        Parameters
        ----------
        turn
            Who may hold it at the same time.

        Raises
        ------
        ConfigError
            Shards of another pipeline, or its archive, lie there.
        StoreBusyError
            Another run or gathering holds one of them.
        """
        digest = self.config_hash if self.outputs else ""  # untracked, arguments need no stable representation
        self._claims.enter_context(claimed_outputs(self.outputs, digest, self.database, turn))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._claims:
            self.rest()

    def close(self) -> None:
        """End the session; further calls do nothing."""
        self.__exit__(None, None, None)

    def list_source(self) -> Listing:
        """What the source lists; it is listed now, unless it was before."""
        if self._listing is None:
            self._listing = self._list()
        return self._listing

    def rest(self) -> None:
        """Let others write the records, until `writer` is used again."""
        store, self._store = self._store, None
        writer, self._writer = self._writer, None
        try:
            if store is not None:
                store.close()
        finally:
            if writer is not None:
                writer.close()

    @property
    def is_recorded(self) -> bool:
        """Whether results are recorded."""
        return self.pipeline.track_metrics

    @property
    def sink(self) -> Sink[Any]:
        """The sink.

        Raises
        ------
        PipelineStateError
            The pipeline has none.
        """
        return required_sink(self.pipeline.sink)

    @cached_property
    def config(self) -> dict[str, Any]:
        """Canonical configuration of the pipeline."""
        return self.pipeline.config

    @cached_property
    def config_hash(self) -> str:
        """Its hash."""
        return config_hash(self.config)

    @cached_property
    def outputs(self) -> list[ShardedOutput]:
        """The merged outputs."""
        return sharded_outputs(self.pipeline)

    @property
    def keep_versions(self) -> int:
        """Versions of a merged dataset that are kept, the newest counted."""
        return self.pipeline.keep_versions

    @property
    def n_stages(self) -> int:
        """Number of stages, source and sink included."""
        return len(self.pipeline.filters) + 2

    @cached_property
    def database(self) -> Path | None:
        """The metrics database; ``None`` when nothing is recorded."""
        if not self.is_recorded:
            return None
        return self.pipeline.records.database("" if self.pipeline.db_file is not None else self.config_hash)

    @property
    def journals(self) -> tuple[Path, str]:
        """Folder and configuration hash of the journals of workers.

        Raises
        ------
        PipelineStateError
            Nothing is recorded.
        """
        return journal_directory(self._recorded_in()), self.config_hash

    def _recorded_in(self) -> Path:
        if self.database is None:
            raise PipelineStateError("Nothing is recorded: the pipeline was built with track_metrics=False.")
        return self.database

    @property
    def listing(self) -> Listing:
        """What the source lists."""
        return self.list_source()

    @listing.setter
    def listing(self, listing: Listing) -> None:
        self._listing = listing
        self.invalidate()

    @property
    def writer(self) -> StoreWriter:
        """The records, open for writing.

        Raises
        ------
        PipelineStateError
            Nothing is recorded.
        StoreBusyError
            Another process is writing them.
        """
        if self._writer is None:
            database = self._recorded_in()
            if self._store is not None:  # the writer may bring the database to a newer version
                self._store.close()
                self._store = None
            n_items = self.n_items if self._listing is None else len(self._listing)
            self._writer = StoreWriter(
                database,
                config_hash=self.config_hash,
                config_json=canonical_json(self.config),
                resume=self.resume,
                total_indices=n_items,
            )
            self.pipeline.records.run_id = self._writer.run_id
        return self._writer

    @property
    def store(self) -> MetricsStore:
        """The records, open for reading; what the writer has not committed yet is committed now.

        Raises
        ------
        StoreError
            There are none yet.
        """
        if self._writer is not None:
            self._writer.flush()
        if self._store is None:
            self._store = MetricsStore(self._recorded_in())
        return self._store

    @property
    def recorded(self) -> MetricsStore | None:
        """The records that a run would go on with, open for reading; ``None`` where there are none."""
        if self.database is None or not self.resume:
            return None
        if self._writer is None and not self.database.exists():
            if self.pipeline.db_file is None:
                tell_former_database(self.database.parent, self.pipeline.components)
            return None
        if self._store is None and self._writer is None:
            tell_former_runs(self.store, self.config_hash)
        return self.store

    @property
    def run_id(self) -> int | None:
        """The run that is recorded; ``None`` before the first one."""
        if self._writer is not None:
            return self._writer.run_id
        store = self.recorded
        run = None if store is None else store.latest_run(self.config_hash)
        return None if run is None else run.run_id

    @property
    def comparison(self) -> Comparison:
        """What is recorded, compared with what is listed."""
        if self._comparison is None:
            run_id = self.run_id
            self._comparison = compare(self.listing, () if run_id is None else self.store.recorded(run_id))
        return self._comparison

    @property
    def plan(self) -> Plan:
        """What would be processed, and why: found out once, until something is recorded.

        Raises
        ------
        ConfigError
            The rule of splits says nothing of an item, which could not be published then.
        """
        if self._plan is None:
            if self.pipeline.split is not None:
                self.pipeline.split.check(self.listing.keys)
            found, self._comparison = self.comparison, None  # the plan marks what it finds in it
            sink = self.pipeline.sink
            self._plan = make_plan(
                *(self.listing, found, self.recorded, self.config_hash),
                outputs=self.outputs,
                n_stages=self.n_stages,
                has_own_files=sink is not None and shares_no_files(sink),
            )
        return self._plan

    def invalidate(self) -> None:
        """Forget the plan: something was recorded, or listed."""
        self._plan = self._comparison = None

    def live(self, indices: Sequence[int], key_of: Callable[[int], str]) -> AbstractContextManager[None]:
        """Be known as the one who writes the plain outputs of some items, within.

        Parameters
        ----------
        indices
            The items.
        key_of
            Key of an item by its index.

        Raises
        ------
        StoreBusyError
            Another run, with another database, is writing the same files.
        """
        return live_outputs(self.pipeline, self.database, indices, key_of)

    def await_workers(self, *, timeout_s: float = WAIT_S) -> None:
        """Wait until no process writes results to a journal any more.

        Raises
        ------
        StoreBusyError
            One still does after `timeout_s` seconds.
        """
        await_journals(*self.journals, timeout_s=timeout_s)

    def take_over(self) -> None:
        """Take over what earlier runs left: results in journals, moved items, loose shards when they are many.

        Raises
        ------
        CuratorError
            The database or an archive of shards cannot be used, or a newer curator published a dataset.
        """
        self.list_source()  # before the records are locked
        self.writer.fold()
        self.invalidate()
        follow_moves(self, self.comparison)
        look_at_outputs(self)

    def watch_shifted(self) -> None:
        """Watch the files of items that were written at another position, which the items there now may overwrite."""
        if not isinstance(self.pipeline.sink, ShardedSink):
            self.writer.watch_shifted()

    def forget(self, indices: Iterable[int]) -> None:
        """Make items due whatever is recorded of them."""
        self.writer.forget(indices)
        self.invalidate()

    def gather(self, *, keep_shards: bool = False, max_missing: float | None = None) -> PublishedDataset:
        """Merge the shards of every completed item into the published outputs, see `gather_pipeline`.

        Parameters
        ----------
        keep_shards
            Leave the loose shards where they are.
        max_missing
            Publish nothing when more items than this are missing: a number, or a fraction below 1.
        """
        return publish_outputs(self, keep_shards=keep_shards, max_missing=max_missing)

    def splits(self, keys: Iterable[str]) -> dict[str, str]:
        """The split of each of some items; nothing where the pipeline has no rule.

        Raises
        ------
        ConfigError
            The rule says nothing of one.
        """
        return {} if self.pipeline.split is None else self.pipeline.split.splits(keys)

    def outputs_to_gather(self) -> list[str]:
        """The merged outputs that `gather` would change."""
        run_id, given = self.run_id, (self.pipeline.split, self.pipeline.dataset)
        return [] if run_id is None else outputs_to_gather(self.outputs, self.config_hash, self.store, run_id, given)

    def is_as_declared(self) -> bool:
        """Whether every merged output reaches as far as the sink's arguments say."""
        return all(map(is_as_declared, self.outputs))
