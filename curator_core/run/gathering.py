"""`gather_pipeline`: the outputs of a pipeline that was run, merged and published, with workers where there is much."""

from __future__ import annotations

from typing import Any

from curator_core.pipeline.pipeline import Pipeline
from curator_core.run.segments import segment_encoder
from curator_core.session.gather import publish
from curator_core.session.listing import Listing

__all__ = ["gather_pipeline"]


def gather_pipeline(
    pipeline: Pipeline[Any],
    keep_shards: bool = False,  # noqa: FBT001, FBT002 - the public contract's order
    *,
    max_missing: float | None = None,
    listing: Listing | None = None,
    n_jobs: int = 1,
    backend: str = "auto",
    **backend_kwargs: Any,  # noqa: ANN401 - of whichever backend
) -> list[str]:
    """Merge the shards of every completed item into the published outputs.

    Items are merged in index order, so the result depends neither on the backend nor on the order of
    completion, and equals that of a run from scratch. Every output is replaced atomically; running it
    twice changes nothing.

    Beside the merged output of the sink, ``{name}.manifest.json`` says which items are in it, in which versions, and
    which are missing, and why; its ``data_version`` changes exactly when the items do.

    Parameters
    ----------
    pipeline
        A pipeline that was run, in this process or an earlier one; its metrics database, the last one written for
        this configuration, says which items are complete.
    keep_shards
        Leave the loose shards where they are.
    max_missing
        Publish nothing when more items than this are missing: a number, or a fraction below 1. An item that changed
        since it was processed is missing, too. By default all that is complete is published, with a warning.
    listing
        What the source listed, where that is known already.
    n_jobs
        Number of workers, as for `run_pipeline`, that encode files which several items of a dataset share, where there
        is much to encode. By default this process does it.
    backend, **backend_kwargs
        Their backend, and its options.

    Returns
    -------
    list[str]
        The merged outputs, filters first.

    Raises
    ------
    ConfigError
        The number of workers, the backend or an option is none.
    MergeError
        More items are missing than `max_missing` allows, the state of a completed item is nowhere to be found, or the
        output cannot be written; the published outputs stay as they were.
    PipelineStateError
        The pipeline records nothing, or there are shards of which nothing is recorded.
    StoreBusyError
        A run is going on.
    """
    encode = segment_encoder(backend, n_jobs, backend_kwargs)
    published = publish(pipeline, keep_shards=keep_shards, max_missing=max_missing, listing=listing, encode=encode)
    return [] if published is None else list(published.paths)
