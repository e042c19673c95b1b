"""Loose shards stay few, and nothing depends on when they are absorbed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curator_core import Pipeline, ShardedFilter, Source, gather_pipeline, process_index, run_pipeline
from curator_core.errors import MergeError
from curator_core.merge.archive import ShardArchive, sharded_outputs
from curator_core.pipeline.components import shard_path
from curator_core.session import compaction
from curator_core.session.compaction import Compactor, JournalCompactor
from curator_core.session.listing import Listing
from curator_core.session.session import Session
from curator_core.store import JournalWriter
from curator_core.testing import DatasetSink, FileSource, NumbersSource, StatisticsFilter


class Counted(NumbersSource):
    """Notes how many loose shards there are whenever an item is read."""

    seen: list[int]

    def __getitem__(self, index):
        self.seen.append(len(loose()))
        return super().__getitem__(index)


class Unidentified(Source[int]):
    """Items without a fingerprint, of the value in a file."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        yield int(Path("value.txt").read_text())


class Plotted(StatisticsFilter):
    """Writes a file of its own for every item, besides its shard."""

    def artifacts(self):
        Path("out/zz_plot.png").write_text("a plot")
        return ["out/zz_plot.png"]


class Streamed(StatisticsFilter):
    """Merges contents."""

    def merge(self, shard_paths, output_path):
        raise AssertionError("files were made")

    def merge_contents(self, contents, output_path):
        rows = [json.loads(content) for content in contents]
        total = {"count": sum(count for count, _ in rows), "sum": sum(total for _, total in rows), "items": rows}
        Path(output_path).write_text(json.dumps(total))


def loose():
    return list(Path("out").glob("*_shard_*"))


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compaction, "MAX_LOOSE", 3)
    Path("in").mkdir()
    for name in "abcdef":
        Path(f"in/{name}.txt").write_text(f"{ord(name)} 1")


def build(source=None, step=None):
    start = FileSource("in", by_content=True) if source is None else source
    pipeline = start.filter(step or StatisticsFilter("out/stats.json")).write(DatasetSink("out/data.json"))
    return pipeline.with_settings(db_file="run.db", resume=True, track_memory=False)


def merged():
    return [json.loads(Path(name).read_text()) for name in ("out/stats.json", "out/data.json")]


def test_few_shards_are_loose_at_any_time():
    """While 50 items are processed, and afterwards, no output has more loose shards than it may."""
    source = Counted(50)
    source.seen = []
    run_pipeline(build(source), progress=False)
    assert max(source.seen) == 2 * 3
    assert len(loose()) == 2 * (50 % 4)
    gather_pipeline(build(source))
    assert [json.loads(Path("out/stats.json").read_text())["sum"], loose()] == [sum(range(50)), []]


def test_a_worker_with_a_journal_leaves_few_shards_loose():
    """What it absorbed is written into the journal again, and recorded where it is; the merged outputs are the same."""
    run_pipeline(build(step=Plotted("out/stats.json")), progress=False)
    gather_pipeline(build(step=Plotted("out/stats.json")))
    expected = merged()
    pipeline = build(step=Plotted("out/stats.json"))
    pipeline.reset()
    with Session.open(pipeline) as session, JournalWriter(*session.journals) as journal:
        compactor = JournalCompactor(session, journal.append)
        for item in session.listing.items(range(6)):
            result = process_index(pipeline, item)
            journal.append(result)
            compactor.add(result)
        assert len(loose()) == 2 * 2
        session.take_over()
        assert session.plan.counts() == {"up to date": 6}
        session.gather()
    assert [*merged(), loose()] == [*expected, []]


def test_workers_with_few_items_each_leave_few_shards_loose():
    """As many as one may have, and those of one worker."""
    pipeline = build()
    for item in Listing.of(pipeline.source).items(range(6)):
        with Session.open(pipeline) as session, JournalWriter(*session.journals) as journal:
            compactor = JournalCompactor(session, journal.append)
            result = process_index(pipeline, item)
            journal.append(result)
            compactor.add(result)
            compactor.finish()
    assert len(loose()) == 2 * 3
    with Session.open(pipeline) as session:
        session.take_over()
        session.gather()
    assert merged()[0]["count"] == 12


def test_shards_that_earlier_runs_left_are_absorbed():
    """Runs of a few items each do not add up to many loose shards."""
    for index in range(6):
        run_pipeline(build(), indices=[index], progress=False)
        assert len(loose()) <= 2 * 4
    assert build().plan().counts() == {"up to date": 6}


def test_large_shards_stay_files(monkeypatch):
    """A shard that is large is not absorbed; the others are, and all are merged."""
    monkeypatch.setattr(compaction, "MAX_COMPACTED_BYTES", len("[2, 98]"))
    run_pipeline(build(), progress=False)
    assert [path.name[12:18] for path in sorted(Path("out").glob("stats_shard_*"))] == [
        f"00000{n}" for n in range(2, 6)
    ]
    gather_pipeline(build())
    assert merged()[0]["count"] == 12


def test_folders_stay_folders(monkeypatch):
    """A shard that is a folder is not absorbed."""
    monkeypatch.setattr(StatisticsFilter, "write_shard", lambda _, path: Path(path).mkdir())
    run_pipeline(build(), progress=False)
    assert len(list(Path("out").glob("stats_shard_*"))) == 6
    assert build().plan().counts() == {"up to date": 6}


def test_an_item_that_is_open_again_keeps_its_file():
    """A shard that is written anew while its item is not recorded is not taken for the old one."""
    pipeline = build()
    listing = Listing.of(pipeline.source)
    run_pipeline(pipeline, indices=[0, 1], progress=False)
    with Session(pipeline, resume=True, listing=listing) as session:
        writer, compactor = session.writer, Compactor(session)
        results = [process_index(pipeline, listing.item(i)) for i in range(4)]
        for result in results[:3]:
            writer.write(result)
            compactor.add(result)
        writer.forget([1])
        writer.write(results[3])
        compactor.add(results[3])
    assert sorted(path.name for path in loose()) == ["data_shard_000001.json", "stats_shard_000001.json"]


def test_a_changed_item_replaces_its_absorbed_shard():
    """What is recorded decides: the new shard counts as soon as it is recorded, the absorbed one before."""
    run_pipeline(build(), progress=False)
    Path("in/b.txt").write_text("5")
    assert build().plan().counts() == {"up to date": 5, "changed": 1}
    run_pipeline(build(), progress=False)
    assert Path("out/stats_shard_000001.json").exists()
    gather_pipeline(build())
    stats, data = merged()
    assert stats["items"][1] == [1, 5]
    assert data[1]["values"] == [5]


def test_a_run_from_the_start_is_merged_again():
    """Items without fingerprint that are processed anew are merged anew, also when all were absorbed."""
    for value in (1, 2):
        Path("value.txt").write_text(str(value))
        pipeline = build(Unidentified()).with_settings(resume=False)
        run_pipeline(pipeline, progress=False)
        assert not loose()
        gather_pipeline(pipeline)
        stats, data = merged()
        assert stats["sum"] == 4 * value
        assert {entry["values"][0] for entry in data} == {value}


def test_other_files_of_a_filter_are_left_alone():
    """A file that a filter wrote besides its shard is neither absorbed nor forgotten."""
    pipeline = build(step=Plotted("out/stats.json"))
    run_pipeline(pipeline, progress=False)
    gather_pipeline(pipeline)
    assert Path("out/zz_plot.png").exists()
    assert pipeline.all_filter_artifacts() == ["out/stats.json", "out/zz_plot.png"]


def test_an_archive_that_cannot_be_written_stops_the_run():
    """The error names the archive; what was processed is recorded and goes on from there."""
    Path("out/stats_shards.db").mkdir(parents=True)
    with pytest.raises(MergeError, match=r"stats_shards\.db cannot be used"):
        run_pipeline(build(), progress=False)
    assert len(build().completed_indices) == 4
    Path("out/stats_shards.db").rmdir()
    run_pipeline(build(), progress=False)
    gather_pipeline(build())
    assert [entry["key"] for entry in merged()[1]] == [f"{name}.txt" for name in "abcdef"]


def test_a_shard_that_cannot_be_read_is_an_error_of_ours(tmp_path):
    """A file that vanished is named, and the archive is as before."""
    with ShardArchive(tmp_path / "a_shards.db") as archive:
        with pytest.raises(MergeError, match=r"gone\.json"):
            archive.absorb([("k", "v", tmp_path / "gone.json")])
        assert archive.versions() == {}


def test_contents_are_merged_without_files():
    """A filter that merges contents gives what merging files gives."""
    run_pipeline(build(step=Streamed("out/stats.json")), progress=False)
    gather_pipeline(build(step=Streamed("out/stats.json")))
    expected = merged()[0]
    run_pipeline(build().with_settings(db_file="other.db"), progress=False)
    gather_pipeline(build().with_settings(db_file="other.db"))
    assert merged()[0] == expected


def test_settling_reads_no_shard_when_few_are_loose(monkeypatch):
    """Following a listing in which nothing moved opens no archive."""
    run_pipeline(build(), indices=[0, 1], progress=False)
    monkeypatch.setattr(compaction, "ShardArchive", None)
    pipeline = build()
    with Session(pipeline, resume=True) as session:
        session.take_over()
    assert len(loose()) == 4


def test_the_name_of_a_shard_is_recognised(tmp_path):
    """Shards of other outputs with similar names are not taken for one's own."""
    output = sharded_outputs(Pipeline(NumbersSource(1), [StatisticsFilter("out/a[1].json")]))[0]
    assert output.shard_name.fullmatch(Path(shard_path("out/a[1].json", 1_000_000)).name)
    assert not output.shard_name.fullmatch("a[1]_b_shard_000001.json")
    assert isinstance(output.component, ShardedFilter)
