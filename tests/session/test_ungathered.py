"""A run that leaves shards says that gathering is due; gathering finds what any process left."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from curator_core import Pipeline, gather_pipeline, run_pipeline
from curator_core.cli import main
from curator_core.errors import PipelineStateError, RunFailed
from curator_core.testing import DatasetSink, FileSource, JsonSink, NumbersSource, StatisticsFilter


def build(folder: Path, **settings: Any) -> Pipeline[int]:
    sink = DatasetSink(str(folder / "d.json"))
    settings = {"db_dir": folder / "db", **settings}
    return Pipeline(NumbersSource(3), [StatisticsFilter(str(folder / "s.json"))], sink, **settings)


def test_a_run_says_what_has_to_be_gathered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The last line of a run names the outputs, as does the summary, until they are gathered."""
    pipeline = build(tmp_path)
    both = [str(tmp_path / "s.json"), str(tmp_path / "d.json")]
    run_pipeline(pipeline, progress=False)
    assert [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING] == [
        f"to be gathered: {', '.join(both)}. Call gather_pipeline(pipeline), or run_pipeline(..., gather=True)"
    ]
    assert pipeline.summary()["to_gather"] == both
    gather_pipeline(pipeline)
    assert pipeline.summary()["to_gather"] == []
    caplog.clear()
    JsonSink(str(tmp_path / "o"))
    run_pipeline(Pipeline(NumbersSource(1), sink=JsonSink(str(tmp_path / "o")), db_dir=tmp_path), progress=False)
    assert not caplog.records, "a pipeline without shards has nothing to say"


@pytest.mark.parametrize("was_there", [True, False])
def test_a_dataset_whose_manifest_was_not_written_is_to_be_gathered(tmp_path: Path, *, was_there: bool) -> None:
    """A process that is killed between the two leaves the manifest of before, or none."""
    pipeline = build(tmp_path)
    run_pipeline(pipeline, progress=False, gather=True)
    manifest = tmp_path / "d.json.manifest.json"
    said = manifest.read_text()
    if was_there:
        os.utime(manifest, ns=(0, (tmp_path / "d.json").stat().st_mtime_ns - 1))
    else:
        manifest.unlink()
    assert pipeline.outputs_to_gather() == [str(tmp_path / "d.json")]
    gather_pipeline(pipeline)
    assert (manifest.read_text(), pipeline.outputs_to_gather()) == (said, [])


def test_a_run_of_nothing_gathers_what_is_there(tmp_path: Path) -> None:
    """No index is asked for, and what earlier ones left is merged."""
    pipeline = build(tmp_path)
    run_pipeline(pipeline, progress=False)
    assert run_pipeline(pipeline, indices=[], resume=True, gather=True, progress=False) == []
    assert len(json.loads((tmp_path / "d.json").read_text())) == 3


@pytest.mark.parametrize("keep", [True, False])
def test_what_is_due_follows_the_items(tmp_path: Path, *, keep: bool) -> None:
    """Items that are added, removed or exchanged make gathering due again, with shards that were kept as well."""
    data = tmp_path / "data"
    data.mkdir()
    for name in ("a", "b"):
        (data / f"{name}.txt").write_text("1")
    sink = DatasetSink(str(tmp_path / "d.json"))

    def fresh() -> Pipeline[int]:
        filters = [StatisticsFilter(str(tmp_path / "s.json"))]
        return Pipeline(FileSource(str(data)), filters, sink, db_file=tmp_path / "m.db", resume=True)

    def due() -> int:
        run_pipeline(fresh(), progress=False)
        n_due = len(fresh().outputs_to_gather())
        gather_pipeline(fresh(), keep_shards=keep)
        assert fresh().outputs_to_gather() == []
        run_pipeline(fresh(), progress=False)
        assert fresh().outputs_to_gather() == [], "nothing has changed"
        return n_due

    assert due() == 2
    (data / "0.txt").write_text("2")
    assert due() == 2
    (data / "a.txt").unlink()
    assert due() == 2
    assert [entry["key"] for entry in json.loads((tmp_path / "d.json").read_text())] == ["0.txt", "b.txt"]


@pytest.mark.parametrize("settings", [{}, {"db_file": "m.db"}])
def test_gathering_what_an_earlier_process_left(tmp_path: Path, settings: dict[str, str]) -> None:
    """A pipeline that is built anew finds the database of the last run, with resume=False, too."""
    settings = {name: str(tmp_path / value) for name, value in settings.items()}
    run_pipeline(build(tmp_path, **settings), progress=False)
    run_pipeline(build(tmp_path, **settings), progress=False)
    assert len(gather_pipeline(build(tmp_path, **settings))) == 2
    assert json.loads((tmp_path / "s.json").read_text())["count"] == 3


def test_shards_without_records_are_told(tmp_path: Path) -> None:
    """Shards whose database is elsewhere are no reason to answer that there is nothing to merge."""
    assert gather_pipeline(build(tmp_path)) == []
    run_pipeline(build(tmp_path), progress=False)
    with pytest.raises(PipelineStateError, match=r"shards of .*s\.json.*db_file or db_dir"):
        gather_pipeline(build(tmp_path, db_dir=tmp_path / "another"))


@pytest.mark.parametrize("track", [True, False])
def test_run_and_gather_in_one_call(tmp_path: Path, *, track: bool) -> None:
    """`gather=True` leaves the merged outputs and no shard, without a database where none is wanted."""
    run_pipeline(build(tmp_path, track_metrics=track), progress=False, gather=True)
    assert json.loads((tmp_path / "s.json").read_text())["count"] == 3
    assert not list(tmp_path.glob("*_shard*_0*"))
    assert (tmp_path / "db").exists() is track


def test_failures_keep_the_output(tmp_path: Path) -> None:
    """Where items fail, `gather=True` merges the others only when failures are to be passed over."""

    class Second(JsonSink):
        def __call__(self, items: Any, index: int) -> list[str]:
            if index == 1:
                raise OSError("no")
            return super().__call__(items, index)

    pipeline = build(tmp_path).with_settings(sink=Second(str(tmp_path / "o")))
    with pytest.raises(RunFailed):
        run_pipeline(pipeline, progress=False, gather=True)
    assert not (tmp_path / "s.json").exists()
    run_pipeline(pipeline, progress=False, gather=True, on_error="skip")
    assert json.loads((tmp_path / "s.json").read_text())["count"] == 2


def test_without_tracking_the_way_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without records nothing can be merged later: the run says so, and gathering says what to do."""
    pipeline = build(tmp_path, track_metrics=False)
    run_pipeline(pipeline, progress=False)
    assert "gather=True" in caplog.text
    with pytest.raises(PipelineStateError, match="gather=True"):
        gather_pipeline(pipeline)


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`curator run` and `curator status` say what is to be gathered until it is; `--gather` does it."""
    file, database = tmp_path / "p.yaml", tmp_path / "m.db"
    build(tmp_path, db_file=str(database), resume=True).save(file)

    def said(*words: str) -> str:
        assert main(words) == 0
        return capsys.readouterr().out

    assert "curator gather" in said("run", str(file))
    assert str(tmp_path / "d.json") in said("status", str(file)).partition("to gather")[2]
    assert str(tmp_path / "d") in said("status", str(database)).partition("to gather")[2]
    assert len(json.loads(said("status", str(file), "--json"))["to_gather"]) == 2
    output = said("run", str(file), "--gather")
    assert "curator gather" not in output
    assert f"published {tmp_path / 'd.json'}" in output
    for recorded in (file, database):
        assert "to gather" not in said("status", str(recorded))
    assert (tmp_path / "d.json").exists()
