"""Two items that return one path are told, unless their sink shares files on purpose."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from curator_core import Pipeline, Sink, run_pipeline
from curator_core.testing import FileSource


class OneName(Sink[int]):
    """One file for all items whose first number is the same."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def __call__(self, items: Iterator[int], index: int) -> list[str]:
        values = list(items)
        path = self.folder / f"{values[0]}.json"
        path.write_text(json.dumps(values))
        return [str(path)]


class Adds(OneName):
    """Says that it adds to its files."""

    appends = True


class Groups(OneName):
    """Has items that share a file processed by one worker, in order."""

    def partition_indices(self, indices: Sequence[int]) -> list[list[int]]:
        return [list(indices)]


def build(folder: Path, sink: type[OneName], **names: str) -> Pipeline[int]:
    (folder / "in").mkdir(exist_ok=True)
    for name, text in names.items():
        (folder / "in" / f"{name}.txt").write_text(text)
    source = FileSource(str(folder / "in"), by_content=True)
    return Pipeline(source, sink=sink(str(folder)), db_file=folder / "m.db", resume=True)


@pytest.mark.parametrize("track", [True, False])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_second_item_of_a_path_fails(tmp_path: Path, n_jobs: int, *, track: bool) -> None:
    """The error names the path and both items; what has a path of its own is done."""
    pipeline = build(tmp_path, OneName, a="1", b="2", c="1").with_settings(track_metrics=track)
    results = run_pipeline(pipeline, n_jobs=n_jobs, backend="thread_pool", progress=False, on_error="skip")
    assert sorted(map(bool, results)) == [False, True, True]
    assert results[1]
    if track:
        ((index, error),) = pipeline.failed_indices.items()
        assert index in (0, 2)
        assert all(part in error for part in ("1.json", "a.txt", "c.txt", "appends = True"))


def test_an_item_of_a_later_run(tmp_path: Path) -> None:
    """A path of an item that was complete before belongs to that item; the item itself may write it again."""
    run_pipeline(build(tmp_path, OneName, a="1", b="2"), progress=False)
    pipeline = build(tmp_path, OneName, c="2", d="3")
    run_pipeline(pipeline, progress=False, on_error="skip")
    assert {index: "b.txt" in error for index, error in pipeline.failed_indices.items()} == {2: True}
    changed = build(tmp_path, OneName, a="1 1", c="4")
    run_pipeline(changed, progress=False)
    assert changed.completed_indices == {0, 1, 2, 3}
    assert [json.loads((tmp_path / f"{n}.json").read_text()) for n in (1, 2, 3, 4)] == [[1, 1], [2], [3], [4]]


@pytest.mark.parametrize("sink", [Adds, Groups])
def test_sinks_that_share_files_on_purpose(tmp_path: Path, sink: type[OneName]) -> None:
    """A sink that appends, or that groups its indices, may return one path for many items, in later runs, too."""
    for names in ({"a": "1", "b": "1"}, {"c": "1"}):
        run_pipeline(build(tmp_path, sink, **names), progress=False)


def test_items_that_moved_are_no_clash(tmp_path: Path) -> None:
    """Files named by index change hands when an item comes before the others: they are written anew, and none fails."""

    class ByIndex(OneName):
        def __call__(self, items: Any, index: int) -> list[str]:
            path = self.folder / f"{index}.json"
            path.write_text(json.dumps(list(items)))
            return [str(path)]

    run_pipeline(build(tmp_path, ByIndex, b="2", c="3"), progress=False)
    run_pipeline(build(tmp_path, ByIndex, a="1"), progress=False)
    assert [json.loads((tmp_path / f"{n}.json").read_text()) for n in range(3)] == [[1], [2], [3]]


class Spelt(OneName):
    """One file, whose path every item writes in a way of its own."""

    def __call__(self, items: Iterator[int], index: int) -> list[str]:
        path = super().__call__(items, 0)[0]
        return [path.replace("/", ("/", "//", "/./")[index], 1)]


def test_one_path_spelt_in_two_ways_is_one(tmp_path):
    """Two slashes, or a dot between them, make no other file."""
    pipeline = build(tmp_path, Spelt, a="7", b="7", c="7")
    run_pipeline(pipeline, progress=False, on_error="skip")
    assert {index: "a.txt" in error for index, error in pipeline.failed_indices.items()} == {1: True, 2: True}
