"""What a run says at its end about outputs that have to be gathered."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from curator_core.merge.archive import sharded_outputs
from curator_core.pipeline.pipeline import Pipeline

due_logger = logging.getLogger("curator.gather")
"""Says at the end of a run that outputs have to be gathered."""

_is_gathered_later: ContextVar[bool] = ContextVar("is_gathered_later", default=False)


@contextmanager
def gathered_later() -> Iterator[None]:
    """Within, a run says nothing of gathering: whoever began it sees to that."""
    token = _is_gathered_later.set(True)
    try:
        yield
    finally:
        _is_gathered_later.reset(token)


def tell_due(pipeline: Pipeline[Any]) -> None:
    """Say that outputs have to be gathered: nothing else that a script shows says that they are not there yet."""
    if _is_gathered_later.get():
        return
    if not pipeline.track_metrics:
        if sharded_outputs(pipeline):
            due_logger.warning(
                "what is in shards cannot be merged, since nothing is recorded (track_metrics=False): "
                "run_pipeline(..., gather=True) merges it at the end"
            )
    elif due := pipeline.outputs_to_gather():
        due_logger.warning(
            "to be gathered: %s. Call gather_pipeline(pipeline), or run_pipeline(..., gather=True)", ", ".join(due)
        )
