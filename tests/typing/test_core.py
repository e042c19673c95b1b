"""Types of the core's public names, as a user's type checker sees them: run here, and checked by mypy with the code.

A line that must be refused is ignored by its code, and mypy says so when it is not refused any more.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, assert_type

import pytest

from curator_core import (
    REQUIRED,
    FileItem,
    FileSource,
    Filter,
    IndexResult,
    Item,
    Listener,
    MergeItem,
    MetricsStore,
    Param,
    Pipeline,
    Plan,
    PlannedItem,
    RunSummary,
    ShardedSink,
    Sink,
    Source,
    gather_pipeline,
    process_index,
    register_component,
    run_pipeline,
)
from curator_core.errors import RunFailed
from curator_core.testing import DatasetSink, NumbersSource
from curator_core.testing.dummies import AddFilter


class Words(Source[str]):
    """Two words."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Generator[str, None, None]:
        yield ("one", "two")[index]


class Texts(FileSource[str]):
    """Contents of files."""

    def read(self, item: FileItem) -> Iterator[str]:
        yield item.path.read_text(encoding="utf-8")


class Joined(ShardedSink[str]):
    """Says how a shard is written, and nothing of where it stands."""

    output_path = "joined.txt"

    def write_shard(self, items: Iterator[str], path: str) -> None:
        Path(path).write_text("".join(items), encoding="utf-8")

    def retained_items(self, output_path: str) -> dict[str, str]:
        return {}

    def merge_items(self, items: Sequence[MergeItem], previous: str | None, output_path: str) -> None:
        Path(output_path).touch()


class Upper(Filter[str]):
    """Words in capitals."""

    def __call__(self, items: Generator[str, None, None]) -> Generator[str, None, None]:
        for item in items:
            yield item.upper()


class Files(Sink[str]):
    """One file for each item."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, items: Iterator[str], index: int) -> list[str]:
        path = Path(self.folder, f"{index}.txt")
        path.write_text(" ".join(items), encoding="utf-8")
        return [str(path)]


def test_a_pipeline_has_the_type_of_its_items(tmp_path: Path) -> None:
    """Source, filters and sink are of one kind of item; others do not fit."""
    words = Words().filter(Upper())
    assert_type(words, Pipeline[str])
    pipeline = words.write(Files(str(tmp_path)))
    assert_type(pipeline, Pipeline[str])
    assert_type(pipeline.with_settings(resume=True), Pipeline[str])
    assert_type(pipeline[0], list[str])
    assert_type(len(pipeline), int)
    assert Path(tmp_path, "0.txt").read_text(encoding="utf-8") == "ONE"


def test_components_of_a_domain(tmp_path: Path) -> None:
    """A source of files needs `read` alone, a sharded sink no `__call__`; their values are of one kind."""
    (tmp_path / "a.txt").write_text("one", encoding="utf-8")
    source = Texts(str(tmp_path))
    assert_type(source.item(0), FileItem)
    assert_type(source[0], Generator[str, None, None])
    assert_type(source.write(Joined()), Pipeline[str])
    assert source[0].__next__() == "one"
    Words().write(DatasetSink("x"))  # type: ignore[arg-type]


def test_components_of_other_items_are_refused() -> None:
    """A filter of numbers does not follow a source of words, nor does a sink of words take numbers."""
    Words().filter(AddFilter())  # type: ignore[arg-type]
    Words().write(DatasetSink("x"))  # type: ignore[arg-type]
    NumbersSource(1).filter(AddFilter()).write(Files("x"))  # type: ignore[arg-type]


def test_a_run_gives_paths(tmp_path: Path) -> None:
    """Paths of each item; those of what was gathered; a plan; what is recorded."""
    pipeline = NumbersSource(2).write(DatasetSink(str(tmp_path / "all.json"))).with_settings(db_file=tmp_path / "m.db")
    assert_type(pipeline, Pipeline[int])
    assert_type(run_pipeline(pipeline, progress=False), list[list[str]])
    assert_type(gather_pipeline(pipeline), list[str])
    plan = pipeline.plan()
    assert_type(plan, Plan)
    assert_type(plan.counts(), dict[str, int])
    assert_type(plan.items[0], PlannedItem)
    with MetricsStore(tmp_path / "m.db") as store:
        assert_type(store, MetricsStore)
        assert_type(list(store.results(1)), list[IndexResult])
    result = process_index(pipeline, Item(0, "000000"))
    assert_type(result, IndexResult)
    assert_type(result.output_paths, tuple[str, ...])
    assert_type(result.error, str | None)


def test_what_a_run_says_of_failures(tmp_path: Path) -> None:
    """The error of a run has the failed results."""
    pipeline = NumbersSource(2).write(Files(str(tmp_path / "missing")))  # type: ignore[arg-type]
    with pytest.raises(RunFailed) as caught:
        run_pipeline(pipeline.with_settings(track_metrics=False), progress=False)
    assert_type(caught.value, RunFailed)
    assert len(caught.value.failures) == 2


def test_options_have_types() -> None:
    """Settings of wrong kinds are seen before a run; options of a backend are its own."""

    def refused() -> None:
        run_pipeline(Words(), n_jobs=2)  # type: ignore[arg-type]
        run_pipeline(Words().filter(Upper()), n_jobs="2")  # type: ignore[arg-type]
        run_pipeline(Words().filter(Upper()), on_error="stop")  # type: ignore[arg-type]
        run_pipeline(Words().filter(Upper()), 2)  # type: ignore[call-arg]
        run_pipeline(Words().filter(Upper()), timeout=2.5)

    assert callable(refused)


def test_params() -> None:
    """A parameter's fields; a component's parameters; a class that is registered stays what it is."""
    (param,) = Files.params()
    assert_type(param, Param)
    assert_type(param.name, str)
    assert_type(param.required, bool)
    assert_type(param.choices, tuple[Any, ...] | None)
    assert param.default is REQUIRED
    assert_type(register_component(Files), type[Files])


def test_a_listener_overrides_what_it_needs(tmp_path: Path) -> None:
    """The other methods do nothing."""

    class Ends(Listener):
        completed = 0

        def end(self, summary: RunSummary) -> None:
            assert_type(summary.error, BaseException | None)
            assert_type(summary.n_completed, int)
            self.completed = summary.n_completed

    ends = Ends()
    pipeline = NumbersSource(2).write(DatasetSink(str(tmp_path / "all.json"))).with_settings(track_metrics=False)
    run_pipeline(pipeline, progress=False, listeners=[ends])
    assert ends.completed == 2


def test_a_source_of_files(tmp_path: Path) -> None:
    """Its items are files, its values what `read` says."""

    class Lines(FileSource[str]):
        def read(self, item: FileItem) -> Iterator[str]:
            yield from Path(item.path).read_text(encoding="utf-8").splitlines()

    (tmp_path / "a.txt").write_text("one\ntwo")
    source = Lines(str(tmp_path))
    assert_type(list(source[0]), list[str])
    assert list(source[0]) == ["one", "two"]
