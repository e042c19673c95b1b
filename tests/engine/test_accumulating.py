"""Filters and sinks as authors of other packages write them: flush(), artifacts(), merge(), set_source()."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import pytest

from curator_core import Filter, Pipeline, Sink, Source, gather_pipeline, run_pipeline
from curator_core.errors import MergeError
from curator_core.testing import JsonSink, NumbersSource


class Rows(Filter[int]):
    """Collects rows, and writes them with `flush`."""

    def __init__(self, output: str) -> None:
        self._output_path = Path(output)
        self._rows: list[int] = []
        self._last: list[Any] = []

    def __call__(self, items: Generator[int, None, None]) -> Generator[int, None, None]:
        for item in items:
            self._rows.append(item)
            yield item

    def flush(self) -> str | None:
        if not self._rows:
            return None
        self._output_path.write_text(json.dumps(self._rows))
        self._rows = []
        self._last = [self._output_path]
        return str(self._output_path)

    def artifacts(self) -> list[str]:
        last, self._last = self._last, []
        return last

    @staticmethod
    def merge(paths: list[str], output: str) -> str:
        rows = [row for path in paths for row in json.loads(Path(path).read_text())]
        Path(output).write_text(json.dumps(rows))
        return output


class AppendedRows(Rows):
    """Adds to what is there."""

    def flush(self) -> str | None:
        if self._output_path.exists():
            self._rows = json.loads(self._output_path.read_text()) + self._rows
        return super().flush()


class NamedOutput(Rows):
    """Reports its output whenever that exists."""

    def __init__(self, output: str) -> None:
        super().__init__(output)
        self.output = output

    def artifacts(self) -> list[str]:
        return [self.output] if Path(self.output).exists() else []


class RunningTotal(Rows):
    """Never clears anything: one row for each item so far."""

    def flush(self) -> str | None:
        self._output_path.write_text(json.dumps(self._rows))
        return str(self._output_path)


class LateRows(Rows):
    """Makes its list when it needs it, and holds a lock from the start."""

    def __init__(self, output: str) -> None:
        super().__init__(output)
        del self._rows
        self._lock = threading.Lock()

    def __call__(self, items: Generator[int, None, None]) -> Generator[int, None, None]:
        for item in items:
            with self._lock:
                self._rows = [*getattr(self, "_rows", []), item]
            yield item

    def flush(self) -> str | None:
        self._rows = getattr(self, "_rows", [])
        return super().flush()


class RowsOfTheClass(Rows):
    """Keeps its rows in the class."""

    shared: ClassVar[list[int]] = []

    def __call__(self, items: Generator[int, None, None]) -> Generator[int, None, None]:
        for item in items:
            self.shared.append(item)
            yield item

    def flush(self) -> str | None:
        self._rows = list(self.shared)
        self.shared.clear()
        return super().flush()


class BySuffix(Rows):
    """Its writer and its merge take the format from the name, and write a description beside it."""

    def flush(self) -> str | None:
        assert self._output_path.suffix == ".json"
        self._output_path.with_suffix(".txt").write_text(f"{len(self._rows)} rows")
        written = super().flush()
        self._last.append(str(self._output_path.with_suffix(".txt")))
        return written

    @staticmethod
    def merge(paths: list[str], output: str) -> str:
        assert Path(output).suffix == ".json"
        return Rows.merge(paths, output)


class Fails(JsonSink):
    """Fails on one index for as long as a file is there."""

    def __call__(self, items: Iterator[Any], index: int) -> list[str]:
        values = list(items)
        if index == 1 and (self.folder / "full").exists():
            raise OSError("no space")
        return super().__call__(iter(values), index)


KINDS: list[type[Rows]] = [Rows, AppendedRows, NamedOutput, RunningTotal, LateRows, BySuffix, RowsOfTheClass]


def build(folder: Path, kind: type[Rows] = Rows, n: int = 4) -> Pipeline[int]:
    return Pipeline(NumbersSource(n), [kind(str(folder / "rows.json"))], Fails(str(folder)), db_file=folder / "m.db")


@pytest.mark.parametrize(
    ("backend", "kind"),
    [
        *(("sequential", kind) for kind in KINDS),
        *(("thread_pool", kind) for kind in KINDS if kind not in (LateRows, RowsOfTheClass)),
    ],
)
def test_every_row_once_after_runs_failures_and_gatherings(tmp_path: Path, kind: type[Rows], backend: str) -> None:
    """However a filter writes and reports its file, and whatever failed or ran before, every row is merged once."""
    pipeline = build(tmp_path, kind)
    n_jobs = 1 if backend == "sequential" else 2
    (tmp_path / "full").touch()
    run_pipeline(pipeline, backend=backend, n_jobs=n_jobs, progress=False, on_error="skip")
    assert not (tmp_path / "rows_shard_000001.json").exists()
    gather_pipeline(pipeline)
    assert json.loads((tmp_path / "rows.json").read_text()) == [0, 2, 3]
    (tmp_path / "full").unlink()
    for resume in (True, False, False):
        run_pipeline(pipeline, backend=backend, n_jobs=n_jobs, progress=False, resume=resume)
    for index in range(4):
        credited = {Path(path).name for path in pipeline.filter_artifacts_for_index(index)}
        assert credited - {f"rows_shard_{index:06d}.txt"} == {f"rows_shard_{index:06d}.json"}
    for _ in range(2):
        assert gather_pipeline(pipeline) == [str(tmp_path / "rows.json")]
        assert json.loads((tmp_path / "rows.json").read_text()) == [0, 1, 2, 3]
    assert not list(tmp_path.glob("rows_shard_*.json")), "shards are gone"
    assert not list(tmp_path.glob(".*")), "no temporary is left"


def test_an_item_without_rows_has_no_shard_of_an_earlier_run(tmp_path: Path) -> None:
    """Where `flush` writes nothing, the shard that an earlier run left for the item is gone."""
    pipeline = build(tmp_path)
    run_pipeline(pipeline, progress=False)

    class Nothing(Rows):
        def flush(self) -> str | None:
            return None

    run_pipeline(build(tmp_path, Nothing), progress=False)
    assert not list(tmp_path.glob("rows_shard_*"))


def test_shards_stay_where_the_filter_says_so(tmp_path: Path) -> None:
    """A filter's own `keep_shards` does what the argument of `gather_pipeline` does."""

    class Kept(Rows):
        keep_shards = True

    pipeline = build(tmp_path, Kept)
    run_pipeline(pipeline, progress=False)
    for _ in range(2):
        gather_pipeline(pipeline)
        assert json.loads((tmp_path / "rows.json").read_text()) == [0, 1, 2, 3]
    assert len(list(tmp_path.glob("rows_shard_*"))) == 4


def test_what_takes_long_to_load_is_loaded_once(tmp_path: Path) -> None:
    """An object that a `cached_property` holds survives from item to item, though all else is as before the first."""
    loads = []

    class Model:
        pass

    class Loading(Rows):
        @cached_property
        def model(self) -> Model:
            loads.append(1)
            return Model()

        def __call__(self, items: Generator[int, None, None]) -> Generator[int, None, None]:
            assert self.model is not None
            yield from super().__call__(items)

    run_pipeline(build(tmp_path, Loading), progress=False)
    assert len(loads) == 1


def test_a_state_that_cannot_be_restored_fails_later_items_by_name(tmp_path: Path) -> None:
    """When rows of a failed item may be inside an object that cannot be copied, later items fail, and say why."""

    class Held:
        def __init__(self) -> None:
            self.rows: list[int] = []

        def __deepcopy__(self, memo: object) -> object:
            raise TypeError("cannot copy")

    class Hidden(Rows):
        def __init__(self, output: str) -> None:
            super().__init__(output)
            self._held = Held()

        def __call__(self, items: Generator[int, None, None]) -> Generator[int, None, None]:
            for item in items:
                self._held.rows.append(item)
                yield item

        def flush(self) -> str | None:
            if self._held.rows == [1]:
                raise RuntimeError("half-written")
            self._rows, self._held.rows = self._held.rows, []
            return super().flush()

    (tmp_path / "full").touch()
    pipeline = build(tmp_path, Hidden)
    run_pipeline(pipeline, progress=False, on_error="skip")
    assert set(pipeline.failed_indices) == {1, 2, 3}
    assert all("_held" in pipeline.failed_indices[index] for index in (2, 3))


def test_what_a_failed_item_wrote_is_not_credited_to_the_next(tmp_path: Path) -> None:
    """A filter without state reports files at its end; those of an item that failed belong to nobody."""

    class Notes(Filter[int]):
        def __init__(self, folder: str) -> None:
            self.folder = Path(folder)
            self.written: list[str] = []

        def __call__(self, items: Generator[int, None, None]) -> Generator[int, None, None]:
            for item in items:
                path = self.folder / f"note_{item}.txt"
                path.touch()
                self.written.append(str(path))
                yield item

        def artifacts(self) -> list[str]:
            written, self.written = self.written, []
            return written

    (tmp_path / "full").touch()
    pipeline = build(tmp_path).with_settings(filters=[Notes(str(tmp_path))])
    run_pipeline(pipeline, progress=False, on_error="skip")
    assert pipeline.filter_artifacts_for_index(2) == [str(tmp_path / "note_2.txt")]


class Folders(Rows):
    """Writes a folder in place of a file."""

    def flush(self) -> str | None:
        self._output_path.mkdir()
        return str(self._output_path)


def test_a_shard_that_is_a_folder_fails_its_item(tmp_path: Path) -> None:
    """What could never be merged is told by the first item, not by gathering after the last."""
    pipeline = build(tmp_path, Folders, 2)
    run_pipeline(pipeline, progress=False, on_error="skip")
    assert all("flush() made a folder" in error for error in pipeline.failed_indices.values())
    assert set(pipeline.failed_indices) == {0, 1}
    assert not list(tmp_path.glob("*_shard_*"))


class FailingMerge(Rows):
    """Writes half of its output, then fails."""

    @staticmethod
    def merge(paths: list[str], output: str) -> str:
        Path(output).write_text("half")
        raise (SystemExit if len(paths) == 2 else KeyError)("shards")


@pytest.mark.parametrize("n", [2, 3])
def test_a_merge_that_fails_is_told_by_its_output(tmp_path: Path, n: int) -> None:
    """Whatever `merge` raises names filter and output; the output and the shards stay as they were."""
    pipeline = build(tmp_path, FailingMerge, n)
    (tmp_path / "rows.json").write_text("before")
    run_pipeline(pipeline, progress=False)
    with pytest.raises(MergeError, match=r"rows\.json cannot be merged.*FailingMerge raised (SystemExit|KeyError)"):
        gather_pipeline(pipeline)
    assert (tmp_path / "rows.json").read_text() == "before"
    assert len(list(tmp_path.glob("rows_shard_*.json"))) == n


def test_an_output_that_was_written_over_is_merged_again(tmp_path: Path) -> None:
    """What somebody else wrote at the output's place is not taken for what was gathered."""
    pipeline = build(tmp_path)
    run_pipeline(pipeline, progress=False, gather=True)
    (tmp_path / "rows.json").write_text("[]")
    gather_pipeline(pipeline)
    assert json.loads((tmp_path / "rows.json").read_text()) == [0, 1, 2, 3]
    before = (tmp_path / "rows.json").stat()
    gather_pipeline(pipeline)
    assert (tmp_path / "rows.json").stat() == before


def test_artifacts_that_are_no_list_fail_the_item(tmp_path: Path) -> None:
    """One path in place of a list would be taken for a list of its letters; the filter is named."""

    class Wrong(Rows):
        def artifacts(self) -> Any:
            return str(self._output_path)

    pipeline = build(tmp_path, Wrong, n=1)
    run_pipeline(pipeline, progress=False, on_error="skip")
    assert "Wrong.artifacts() returned" in pipeline.failed_indices[0]


class Named(Source[int]):
    """Items with names."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Generator[int, None, None]:
        yield index

    def key(self, index: int) -> str:
        return f"{self.prefix}-{index}"


class NameSink(Sink[int]):
    """Names its files after its source's items, and does not take the source along when it is pickled."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.source: Source[Any] | None = None

    def set_source(self, source: Source[Any]) -> None:
        self.source = source

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"source": None}

    def __call__(self, items: Iterator[int], index: int) -> list[str]:
        path = self.folder / f"{self.source.key(index) if self.source else 'data'}.json"
        path.write_text(json.dumps(list(items)))
        return [str(path)]


@pytest.mark.parametrize("backend", ["sequential", "thread_pool"])
def test_a_sink_is_told_its_source_in_every_worker(tmp_path: Path, backend: str) -> None:
    """`set_source` is called with the pipeline's own source, where one sink serves two pipelines, too."""
    sink = NameSink(str(tmp_path))
    first, second = Named("a").write(sink), Named("b").write(sink)
    for pipeline in (first, second, first):
        run_pipeline(pipeline, backend=backend, n_jobs=2 if backend != "sequential" else 1, progress=False)
    assert {path.stem for path in tmp_path.glob("*.json")} == {f"{p}-{i}" for p in "ab" for i in range(3)}
