"""The segments of a dataset that is being published, encoded by the workers of a backend."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curator_core.errors import CuratorError, MergeError
from curator_core.pipeline.pipeline import Pipeline
from curator_core.records import IndexResult
from curator_core.run.choice import chosen_backend
from curator_core.run.config import resolve_n_jobs
from curator_core.run.processing import Processing
from curator_core.run.signals import interruptible_run
from curator_core.session.listing import Listing

if TYPE_CHECKING:
    from curator_core.datasets.workers import Encode

_OF_ITEMS = ("timeout",)
"""Options that are meant for the items of the run."""


def segment_encoder(backend: str, n_jobs: int, options: Mapping[str, Any]) -> Encode | None:
    """What hands segments to the workers of a backend; ``None`` where that is a plain loop: publishing is one already.

    Parameters
    ----------
    backend
        Its name.
    n_jobs
        Number of workers.
    options
        Options of the backend, as for the run.
    """
    wanted = {name: value for name, value in options.items() if name not in _OF_ITEMS}
    workers = resolve_n_jobs(n_jobs)
    if workers == 1 and backend == "auto" and not wanted:
        return None
    engine, own = chosen_backend(backend, workers, wanted)
    if not engine.copies_pipeline:
        return None

    def encode(pipeline: Pipeline[Any], folder: Path) -> None:
        failures: list[IndexResult] = []
        listing = Listing.of(pipeline.source)
        processing = Processing(
            pipeline,
            engine,
            listing.find,
            [lambda result: None if result.is_completed else failures.append(result)],
            journals=(folder / "results", "segments"),
        )
        indices = range(len(listing))
        with interruptible_run():
            processing.run(indices, listing.items(indices), n_jobs=workers, options=own)
        if failures:
            raise _error(failures, len(listing))

    return encode


def _error(failures: list[IndexResult], n_segments: int) -> Exception:
    first = failures[0].exception
    if isinstance(first, CuratorError):
        return first
    text = f"{len(failures)} of {n_segments} segments cannot be encoded: {failures[0].error}"
    error = MergeError(text)
    error.__cause__ = first
    return error
