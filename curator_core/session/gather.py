"""The outputs of a pipeline that was run, merged and published, whoever encodes them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator_core.errors import PipelineStateError
from curator_core.merge.archive import ShardedOutput, sharded_outputs
from curator_core.merge.output_names import check_output_names
from curator_core.merge.publication import PublishedDataset, Tolerance
from curator_core.pipeline.pipeline import Pipeline
from curator_core.session.listing import Listing
from curator_core.session.session import Session
from curator_core.storage.places import cache_directory
from curator_core.store.location import latest_database

if TYPE_CHECKING:
    from curator_core.datasets.workers import Encode

_WAIT_S = 5.0
"""How long gathering waits for steps that process items."""


def publish(
    pipeline: Pipeline[Any],
    *,
    keep_shards: bool = False,
    max_missing: float | None = None,
    listing: Listing | None = None,
    encode: Encode | None = None,
) -> PublishedDataset | None:
    """Merge the shards of every completed item, see `gather_pipeline`; ``None`` when there is nothing to merge.

    Parameters
    ----------
    pipeline, keep_shards, max_missing, listing
        As for `gather_pipeline`.
    encode
        Hands segments that are to be encoded to workers, see `curator_core.run.segments.segment_encoder`; this process
        encodes them by default.
    """
    if max_missing is not None:
        Tolerance(max_missing)
    outputs = sharded_outputs(pipeline)
    if not outputs:
        return None
    check_output_names(pipeline)
    database = _database(pipeline, outputs)
    if database is None:
        return None
    if database != pipeline.db_path:
        pipeline = pipeline.with_settings(db_file=database)
    with Session(pipeline, resume=True, listing=listing) as session:
        session.encode = encode
        session.await_workers(timeout_s=_WAIT_S)
        session.list_source()
        session.claim()
        session.take_over()
        return session.gather(keep_shards=keep_shards, max_missing=max_missing)


def _database(pipeline: Pipeline[Any], outputs: list[ShardedOutput]) -> Path | None:
    """The database of the pipeline's last run, in whichever process; ``None`` when there was none."""
    if not pipeline.track_metrics:
        raise PipelineStateError(
            "Gathering needs records of what is complete, and the pipeline was built with track_metrics=False: "
            "use run_pipeline(pipeline, gather=True), which keeps them for the time of the run, or track_metrics=True."
        )
    path = pipeline.db_path
    if path is not None and path.exists():
        return path
    found = latest_database(pipeline.config_hash, db_file=pipeline.db_file, db_dir=pipeline.db_dir)
    if found is None:
        for output in outputs:
            left = next(output.loose_shards(), None)
            if left is not None:
                where = pipeline.db_file or cache_directory(pipeline.db_dir)
                raise PipelineStateError(
                    f"There are shards of {output.path}, such as {left.name}, but no metrics database of this "
                    f"configuration at {str(where)!r} tells what is complete. Name the right one with db_file or "
                    "db_dir, or run the pipeline again."
                )
    return found
