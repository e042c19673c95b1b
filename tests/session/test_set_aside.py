"""Parts that are folders are carried along when their items move to other indices."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ase")
pytest.importorskip("zarr")

from curator_core import gather_pipeline, run_pipeline
from curator_core.datasets import parts
from curator_core.datasets.layout import Rows
from curator_core.datasets.parts import write_part
from curator_core.session.session import Session
from curator_core.testing import FaultySource, FileSource, invocations
from tests.datasets.kinds import ReadingsSink, tree
from tests.run.killed import killed_at

EVENTS = ("open", "os.", "shutil.", "sqlite3.")


class NumbersOfFilesSink(ReadingsSink):
    """A row for each number of a file."""

    def write_shard(self, items, path):
        values = np.array(list(items), float)
        notes = np.full(len(values), "é", object)
        write_part(path, self.ragged, Rows(len(values), {"time": values, "note": notes}))


@pytest.fixture(autouse=True)
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(parts, "MAX_FILE_BYTES", 0)
    write_inputs("bdf")


def write_inputs(names, number=1):
    Path("in").mkdir(exist_ok=True)
    for name in names:
        Path("in", f"{name}.txt").write_text(f"{ord(name)} {number}")


def build():
    source = FaultySource(FileSource("in", by_content=True), "log")
    return source.write(NumbersOfFilesSink("out/data.zarr")).with_settings(db_file="run.db", resume=True)


def shards():
    return sorted(path.name for path in Path("out").glob("*_shard_*"))


def dataset_from_scratch():
    """What the present inputs give in a folder of its own."""
    shutil.copytree("in", "scratch/in")
    with contextlib.chdir("scratch"):
        run_pipeline(build(), progress=False)
        gather_pipeline(build())
        found = tree("out/data.zarr")
    shutil.rmtree("scratch")
    return found


def test_items_that_move_are_not_processed_again():
    """They move twice, one of them is changed meanwhile and one is removed; the dataset is that of the inputs."""
    run_pipeline(build(), progress=False)
    write_inputs("a")
    run_pipeline(build(), progress=False)
    assert [name[11:-5] for name in shards()] == ["000000", *(f"{10**9 + n}" for n in range(3))]
    write_inputs("c")
    write_inputs("d", number=2)
    Path("in/f.txt").unlink()
    run_pipeline(build(), progress=False)
    gather_pipeline(build())
    assert invocations("log") == {"a.txt": 1, "b.txt": 1, "c.txt": 1, "d.txt": 2, "f.txt": 1}
    assert tree("out/data.zarr") == dataset_from_scratch()
    assert not shards()


def test_a_shard_aside_that_is_written_over_counts_no_more():
    """It is found out as at any other place."""
    run_pipeline(build(), progress=False)
    write_inputs("a")
    with Session(build(), resume=True) as session:
        session.take_over()
    assert build().plan().counts() == {"new": 1, "up to date": 3}
    Path("out", shards()[0], "head.json").write_text("{}")
    assert build().plan().counts() == {"new": 1, "up to date": 2, "outputs missing": 1}


def test_a_part_that_is_a_file_and_too_large_for_the_archive_is_set_aside(monkeypatch):
    """As folders are."""
    monkeypatch.setattr(parts, "MAX_FILE_BYTES", 1 << 20)
    monkeypatch.setattr("curator_core.session.compaction.MAX_ARCHIVED_BYTES", 1)
    run_pipeline(build(), progress=False)
    write_inputs("a")
    run_pipeline(build(), progress=False)
    gather_pipeline(build())
    assert set(invocations("log").values()) == {1}
    assert tree("out/data.zarr") == dataset_from_scratch()


@pytest.mark.parametrize("kill_step", [17, pytest.param(1, marks=pytest.mark.campaign)])
def test_kills_while_shards_are_set_aside(tmp_path, kill_step):
    """At any moment the recorded place has the part: afterwards nothing is processed twice, and nothing is left."""
    base, n = tmp_path / "base", 0
    base.mkdir()
    Path("in").rename(base / "in")
    with contextlib.chdir(base):
        run_pipeline(build(), progress=False)
        write_inputs("a")
        expected = dataset_from_scratch()

    def take_over():
        with Session(build(), resume=True) as session:
            session.take_over()

    seen = set()
    while True:
        n += kill_step
        folder = shutil.copytree(base, tmp_path / f"work{n}")
        with contextlib.chdir(folder):
            was_killed = killed_at(n, take_over, EVENTS)
            seen.add(len(shards()))
            run_pipeline(build(), progress=False)
            gather_pipeline(build())
            assert set(invocations("log").values()) == {1}, n
            assert tree("out/data.zarr") == expected, n
            assert not shards(), n
            assert not [path for path in Path("out").iterdir() if "curator-tmp" in path.name], n
        shutil.rmtree(folder)
        if not was_killed:
            break
    assert {4, 5} & seen, (n, seen)
