"""Backends of other packages: whatever they hand over is recorded rightly, or told by item and backend."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curator_core import Pipeline, RunBackend, RunConfig, run_pipeline
from curator_core.engine import IndexProcessor
from curator_core.errors import PipelineStateError
from curator_core.records import IndexResult
from curator_core.testing import JsonSink, NumbersSource, registered

Change = Callable[[list[IndexResult]], Any]


class Streams(RunBackend):
    """Hands over what a function makes of the right results."""

    name = "streams"
    description = "Results with a fault."
    change: Change

    def stream(self, pipeline: Pipeline[Any], config: RunConfig) -> Generator[IndexResult, None, None]:
        with IndexProcessor(pipeline) as process:
            results = [process(item) for item in config.items]
        return type(self).change(results)


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline[int]]:
    with registered(Streams):
        yield Pipeline(NumbersSource(4), [], JsonSink(str(tmp_path / "out")), db_file=str(tmp_path / "runs.db"))


def run(pipeline: Pipeline[int], change: Change) -> list[list[str]]:
    Streams.change = staticmethod(change)
    return run_pipeline(pipeline, backend="streams", n_jobs=2, progress=False, on_error="skip", indices=[0, 1, 3])


def changed(result: IndexResult, **values: Any) -> IndexResult:
    return replace(result, **values)


SOUND: dict[str, Change] = {
    "in a list": list,
    "twice": lambda found: [*found, *found],
    "with NumPy's integers": lambda found: [changed(result, index=np.int64(result.index)) for result in found],
    "with Path objects": lambda found: [
        changed(result, output_paths=[Path(path) for path in result.output_paths]) for result in found
    ],
    "with others": lambda found: [None, (0, ["a"]), replace(found[0], index=99), replace(found[0], index=-1), *found],
}
UNSOUND: dict[str, dict[str, Any]] = {
    "another key": {"key": "somebody"},
    "another fingerprint": {"fingerprint": "f"},
    "no status": {"status": "done"},
    "no paths": {"output_paths": None},
    "paths that are none": {"output_paths": (3,)},
    "paths that are not there": {"output_paths": ("/no/such/file",)},
    "paths that are no UTF-8": {"output_paths": ("a\udcff",)},
    "numbers too large": {"wall_time_ns": 2**70},
    "numbers as text": {"peak_memory_bytes": "many"},
}


@pytest.mark.parametrize("change", SOUND.values(), ids=SOUND)
def test_sound_results_are_recorded(pipeline: Pipeline[int], change: Change) -> None:
    """Results in other kinds of sequences and numbers count; what belongs to no item is left out."""
    paths = run(pipeline, change)
    assert [[Path(path).name for path in found] for found in paths] == [[f"item_{i:06d}.json"] for i in (0, 1, 3)]
    assert pipeline.completed_indices == {0, 1, 3}
    assert [planned.index for planned in pipeline.with_settings(resume=True).plan().due] == [2]


@pytest.mark.parametrize("fault", UNSOUND.values(), ids=UNSOUND)
def test_unsound_result_fails_its_item_alone(pipeline: Pipeline[int], fault: dict[str, Any]) -> None:
    """A result that is not its item's, or cannot be stored, is a failure by item and backend."""
    run(pipeline, lambda found: [found[0], replace(found[1], **fault), found[2]])
    assert pipeline.completed_indices == {0, 3}
    assert "'streams'" in pipeline.failed_indices[1]
    assert "'000001'" in pipeline.failed_indices[1]


def test_failures_without_text(pipeline: Pipeline[int]) -> None:
    """A failure says at least that it is one; text that UTF-8 cannot hold is escaped."""
    texts = {0: None, 1: "a\udcff", 3: "why"}
    run(pipeline, lambda found: [replace(result, status="error", error=texts[result.index]) for result in found])
    assert pipeline.failed_indices == {0: "failed", 1: "a\\udcff", 3: "why"}


def test_backend_that_stops_midway(pipeline: Pipeline[int]) -> None:
    """What a backend raises names it, and what was complete by then is recorded."""

    def broken(found: list[IndexResult]) -> Iterator[IndexResult]:
        yield found[0]
        raise KeyError("host")

    with pytest.raises(PipelineStateError, match=r"'streams'.*KeyError"):
        run(pipeline, broken)
    assert pipeline.completed_indices == {0}
    with pytest.raises(PipelineStateError, match="'streams' returned None"):
        run(pipeline, lambda _: None)
