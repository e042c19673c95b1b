"""A loop in this process."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import Any, ClassVar

from curator_core.engine import IndexProcessor
from curator_core.pipeline.pipeline import Pipeline
from curator_core.records import IndexResult
from curator_core.run.base import RunBackend
from curator_core.run.config import RunConfig
from curator_core.run.options import TIMEOUT, Options
from curator_core.run.workers.heartbeats import HeartbeatSlot


class SequentialBackend(RunBackend):
    """One index after the other, in this process."""

    name: ClassVar[str] = "sequential"
    description: ClassVar[str] = "One index after the other, in this process."
    options: ClassVar[Options] = {"timeout": TIMEOUT}
    copies_pipeline: ClassVar[bool] = False

    def stream(self, pipeline: Pipeline[Any], config: RunConfig) -> Generator[IndexResult, None, None]:
        """Process the groups in order."""
        with (
            IndexProcessor(pipeline, timeout=config.timeout) as process,
            closing(HeartbeatSlot(config.board.folder, process.worker_id)) as entry,
        ):
            config.board.open()
            for group in config.item_groups():
                for item in group:
                    entry.begin(item.index)
                    yield process(item)
