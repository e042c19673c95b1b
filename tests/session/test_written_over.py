"""Outputs that others wrote over: a record counts only while the file is the one that the item wrote."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from pathlib import Path

import pytest

from curator_core import Pipeline, Sink, gather_pipeline, run_pipeline
from curator_core.errors import MergeError
from curator_core.merge.archive import ShardArchive
from curator_core.testing import FileSource, JsonSink, NumbersSource
from curator_core.testing.dummies import AddFilter, DatasetSink, StatisticsFilter


class PlaceSink(Sink[int]):
    """Writes in place, a file or a folder, named by index; kills its process after it, where asked."""

    def __init__(self, folder: str, *, makes_folders: bool = False) -> None:
        self.folder = Path(folder)
        self.makes_folders = makes_folders

    def __call__(self, items, index):
        path = self.folder / f"{index}.out"
        file = path / "data" if self.makes_folders else path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(list(items)))
        if os.environ.get("KILLED_AFTER_WRITING"):
            os.kill(os.getpid(), signal.SIGKILL)
        return [str(path)]


def contents(outputs):
    """What the files of a run hold."""
    paths = [Path(path) for (path,) in outputs]
    return [json.loads((path / "data" if path.is_dir() else path).read_text()) for path in paths]


@pytest.fixture
def killed(monkeypatch):
    """Run a pipeline in a process that is killed after the first output is written."""

    def run(pipeline):
        pid = os.fork()
        if pid == 0:
            os.environ["KILLED_AFTER_WRITING"] = "1"
            run_pipeline(pipeline, progress=False)
            os._exit(1)
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL

    return run


@pytest.mark.parametrize("sink", [JsonSink, PlaceSink, lambda folder: PlaceSink(folder, makes_folders=True)])
@pytest.mark.parametrize("databases", [("m.db", "m.db"), ("a.db", "b.db")])
def test_another_configuration_and_back(tmp_path, sink, databases):
    """A, B on some items, A: what B wrote over is due under A, and B's records are found out in turn."""

    def pipeline(amount):
        database = tmp_path / databases[amount == 2]
        return Pipeline(
            NumbersSource(5), [AddFilter(amount)], sink(str(tmp_path / "out")), db_file=database, resume=True
        )

    run_pipeline(pipeline(1), progress=False)
    run_pipeline(pipeline(2), progress=False, indices=[1, 4])
    assert [item.index for item in pipeline(1).plan().due] == [1, 4]
    assert pipeline(1).plan().item(4).detail.endswith("was written over")
    assert contents(run_pipeline(pipeline(1), progress=False)) == [[i + 1] for i in range(5)]
    assert pipeline(2).plan().counts() == {"config changed": 3, "outputs missing": 2} or databases[0] != databases[1]
    assert contents(run_pipeline(pipeline(2), progress=False)) == [[i + 2] for i in range(5)]


@pytest.mark.parametrize("makes_folders", [False, True])
def test_killed_after_an_output_was_written_over(tmp_path, killed, makes_folders):
    """The listing shifts and back, or a file is exchanged and put back: no record of before counts any more."""
    (tmp_path / "in").mkdir()
    for name, number in (("b", 22), ("c", 33)):
        (tmp_path / "in" / f"{name}.txt").write_text(f"{number}")

    def pipeline():
        sink = PlaceSink(str(tmp_path / "out"), makes_folders=makes_folders)
        return Pipeline(FileSource(str(tmp_path / "in")), [], sink, db_file=tmp_path / "m.db", resume=True)

    run_pipeline(pipeline(), progress=False)
    (tmp_path / "in" / "a.txt").write_text("11")
    killed(pipeline())
    (tmp_path / "in" / "a.txt").unlink()
    assert contents(run_pipeline(pipeline(), progress=False)) == [[22], [33]]
    (tmp_path / "in" / "b.txt").rename(tmp_path / "kept")
    (tmp_path / "in" / "b.txt").write_text("99")
    killed(pipeline())
    (tmp_path / "kept").replace(tmp_path / "in" / "b.txt")
    assert contents(run_pipeline(pipeline(), progress=False)) == [[22], [33]]
    assert pipeline().plan().due == []


def test_loose_shards_of_another_configuration(tmp_path, monkeypatch):
    """They are neither merged nor absorbed as one's own: gathering names the items, the next run mends them."""
    monkeypatch.setattr("curator_core.session.compaction.MAX_LOOSE", 1)

    def pipeline(amount):
        steps = [AddFilter(amount), StatisticsFilter(str(tmp_path / "stats.json"))]
        sink = DatasetSink(str(tmp_path / "data.json"))
        return Pipeline(NumbersSource(4), steps, sink, db_file=tmp_path / "m.db", resume=True)

    def values():
        return [entry["values"] for entry in json.loads((tmp_path / "data.json").read_text())]

    with monkeypatch.context() as many:
        many.setattr("curator_core.session.compaction.MAX_LOOSE", 100)
        run_pipeline(pipeline(0), progress=False)
        run_pipeline(pipeline(100), progress=False, indices=[1, 2])
    with pytest.raises(MergeError, match="no shard of 000001, 000002"):
        gather_pipeline(pipeline(0))
    run_pipeline(pipeline(0), progress=False)
    gather_pipeline(pipeline(0))
    assert values() == [[0], [1], [2], [3]]
    assert json.loads((tmp_path / "stats.json").read_text())["sum"] == 6
    run_pipeline(pipeline(100), progress=False)
    gather_pipeline(pipeline(100))
    assert values() == [[100], [101], [102], [103]]
    assert set(pipeline(0).plan().counts()) == {"outputs missing"}


def test_a_file_that_grows_with_every_item(tmp_path):
    """A filter's own log, which every item adds to, makes none of them due again."""

    class LogFilter(AddFilter):
        def __init__(self, log: str) -> None:
            super().__init__(0)
            self.log = log

        def artifacts(self):
            with Path(self.log).open("a") as log:
                log.write("one more\n")
            return [self.log]

    steps = [LogFilter(str(tmp_path / "log.txt"))]
    pipeline = Pipeline(
        NumbersSource(3), steps, JsonSink(str(tmp_path / "out")), db_file=tmp_path / "m.db", resume=True
    )
    run_pipeline(pipeline, progress=False)
    assert pipeline.plan().due == []


def test_shards_of_any_size(tmp_path, monkeypatch):
    """What SQLite would not hold in one value is kept in pieces, and replaced and dropped as a whole."""
    monkeypatch.setattr("curator_core.merge.archive.PIECE_BYTES", 4)
    contents = {"a": b"", "b": b"1234", "c": b"12345", "d": b"123456789"}
    paths = {key: tmp_path / key for key in contents}
    for key, content in contents.items():
        paths[key].write_bytes(content)
    with ShardArchive(tmp_path / "x_shards.db") as archive:
        archive.absorb((key, "1", path) for key, path in paths.items())
        assert {key: archive.content(key) for key in contents} == contents
        archive.extract("d", tmp_path / "out")
        assert (tmp_path / "out").read_bytes() == contents["d"]
        archive.absorb([("d", "2", paths["b"]), ("c", "1", paths["c"])])
        assert archive.content("d") == b"1234"
        archive.keep_only({"d": "2"})
        assert archive.versions() == {"d": "2"}
    with sqlite3.connect(tmp_path / "x_shards.db") as db:
        assert db.execute("SELECT count(*) FROM pieces").fetchone() == (0,)
    db.close()


def test_gathering_leaves_the_shards_of_another_configuration(tmp_path):
    """What another configuration recorded in the same database is its own to gather, and is not lost."""

    def pipeline(amount):
        steps = [AddFilter(amount), StatisticsFilter(str(tmp_path / "stats.json"))]
        sink = DatasetSink(str(tmp_path / "d.json"))
        return Pipeline(NumbersSource(4), steps, sink, db_file=tmp_path / "m.db", resume=True)

    run_pipeline(pipeline(1), progress=False, gather=True)
    run_pipeline(pipeline(2), progress=False, indices=[1, 3])
    (tmp_path / "d_shard_000007.json").write_text("[7]")  # a killed run's
    os.utime(tmp_path / "d_shard_000007.json", (1, 1))
    gather_pipeline(pipeline(1))
    assert {item.index for item in pipeline(2).plan().items if item.reason == "up to date"} == {1, 3}
    assert not (tmp_path / "d_shard_000007.json").exists()
    run_pipeline(pipeline(2), progress=False, gather=True)
    assert [entry["values"] for entry in json.loads((tmp_path / "d.json").read_text())] == [[i + 2] for i in range(4)]
    assert list(tmp_path.glob("*_shard_*")) == []
