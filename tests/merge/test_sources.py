"""A dataset compared with its sources: what its items give now is what it holds, or who differs is named."""

from __future__ import annotations

import json
import os
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from curator_core import Filter, Pipeline, SplitByKey, run_pipeline
from curator_core.cli import main
from curator_core.datasets import list_versions
from curator_core.domains.atoms import AtomicDataZarrSink
from curator_core.errors import ComponentError, ConfigError
from curator_core.merge import count_nonfinite, verify_sources
from curator_core.pipeline.current import current_item
from curator_core.sources.files import FileSource as Files
from curator_core.testing import DatasetSink, FileSource, JsonSink, StatisticsFilter


@pytest.fixture(autouse=True)
def _work(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)  # there is no loss of power here
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for number, name in enumerate("abc"):
        (tmp_path / f"in/{name}.txt").write_text(f"{number} {number + 10}")


class Structures(Files[Atoms]):
    """Structures whose positions stand in a file; where its energy is no number, so it stays."""

    name = "structures_of_tests"

    def __init__(self, root: str = "in") -> None:
        super().__init__(root, "*.txt")

    def read(self, item):
        for text in item.path.read_text().split():
            yield Atoms("H2", positions=np.full((2, 3), float(text)), info={"weight": float(text)})


class Shifting(Filter):
    """Gives another value each time, to the items of some keys."""

    calls = 0

    def __init__(self, keys: tuple[str, ...] = ()) -> None:
        self.keys = keys

    def __call__(self, items):
        Shifting.calls += 1
        for value in items:
            yield value + Shifting.calls if current_item().key in self.keys else value


def keep_time(path, text):
    """Write a file so that it looks as it did."""
    found = path.stat()
    path.write_text(text)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def structures(**settings):
    sink = AtomicDataZarrSink("out/d.zarr", chunk_rows=16, shard_rows=64)
    return Pipeline(Structures(), sink=sink, db_file="run.db", resume=True, **settings)


def numbers(*filters):
    return Pipeline(FileSource("in"), filters, DatasetSink("out/d.json"), db_file="run.db", resume=True)


def found(pipeline, **options):
    return {damage.items[0]: damage.what for damage in verify_sources(pipeline, **options)}


@pytest.mark.parametrize("build", [structures, numbers])
def test_items_are_what_their_sources_give(build):
    """For a dataset of any sink; what changed without a trace, changed, cannot be read or is gone is named."""
    run_pipeline(build(), gather=True, progress=False)
    before = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    assert found(build()) == {}
    keep_time(Path("in/a.txt"), "7 10")
    Path("in/b.txt").write_text("1 2 3")
    Path("in/c.txt").unlink()
    said = found(build())
    assert said.pop("a.txt").startswith("is not what its source gives now")
    assert said.pop("b.txt").startswith("has another fingerprint in the source now")
    assert said == {"c.txt": "is in the dataset, and the source has it no more"}
    keep_time(Path("in/a.txt"), "x 10")
    assert "cannot be processed again: " in found(build())["a.txt"]
    assert {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()} == before


def test_the_arrays_that_differ_are_named():
    """Of a Zarr dataset by name; a split, which no source gives, is none of them."""
    run_pipeline(structures(split=SplitByKey()), gather=True, progress=False)
    assert found(structures()) == {}
    keep_time(Path("in/b.txt"), "1 12")
    assert found(structures()) == {"b.txt": "is not what its source gives now: other_info, positions differ"}
    former = list_versions("out/d.zarr")[0].id
    Path("in/b.txt").write_text("1 11")
    run_pipeline(structures(), gather=True, progress=False)
    assert found(structures()) == {}
    assert set(found(structures(), version=former)) == {"b.txt"}


def test_a_repository_is_compared_too():
    """Of which a publication does not read what it takes over."""
    pytest.importorskip("icechunk")

    def build():
        return Pipeline(Structures(), sink=AtomicDataZarrSink("out.icechunk"), db_file="run.db", resume=True)

    run_pipeline(build(), gather=True, progress=False)
    assert found(build()) == {}
    keep_time(Path("in/b.txt"), "1 12")
    assert found(build()) == {"b.txt": "is not what its source gives now: other_info, positions differ"}


def test_a_filter_that_gives_other_values_each_time_is_found():
    """As is one whose shards are merged, which writes nothing meanwhile."""
    pipeline = numbers(Shifting(("b.txt",)), StatisticsFilter("out/s.json"))
    run_pipeline(pipeline, gather=True, progress=False)
    names = sorted(Path("out").iterdir())
    assert set(found(pipeline)) == {"b.txt"}
    assert sorted(Path("out").iterdir()) == names


def test_what_cannot_be_compared_is_said():
    """A sink without a dataset, another configuration, no dataset yet."""
    with pytest.raises(ConfigError, match="publishes no dataset that could be compared"):
        list(verify_sources(Pipeline(FileSource("in"), sink=JsonSink("out"))))
    with pytest.raises(ConfigError, match="There is no dataset"):
        list(verify_sources(numbers()))
    run_pipeline(numbers(), gather=True, progress=False)
    with pytest.raises(ConfigError, match="made by another configuration"):
        list(verify_sources(numbers(Shifting())))


def test_the_command_compares_with_sources(capsys):
    """A pipeline that publishes something else is refused; where there are no checksums, that is said."""
    pipeline = numbers()
    run_pipeline(pipeline, gather=True, progress=False)
    pipeline.save("pipeline.yaml")
    assert main(["verify", "out/d.json", "--sources", "pipeline.yaml"]) == 0
    assert "It is compared with its sources alone." in capsys.readouterr().err
    keep_time(Path("in/a.txt"), "7 10")
    assert main(["verify", "out/d.json", "--sources", "pipeline.yaml", "--json"]) == 1
    (damage,) = json.loads(capsys.readouterr().out)
    assert damage["items"] == ["a.txt"]
    assert main(["verify", "out/e.json", "--sources", "pipeline.yaml"]) == 2
    assert "publishes 'out/d.json', not 'out/e.json'" in capsys.readouterr().err


def test_numbers_that_are_not_finite_are_counted(capsys):
    """By variable and item; what a structure lacks is none of them, nor is the padding."""
    Path("in/a.txt").write_text("nan 1")
    Path("in/b.txt").write_text("1 inf -inf")
    run_pipeline(structures(), gather=True, progress=False)
    counts = {(count.variable, count.key): astuple(count)[2:] for count in count_nonfinite("out/d.zarr")}
    assert counts == {("positions", "a.txt"): (6, 0, 0, 12), ("positions", "b.txt"): (0, 6, 6, 18)}
    assert main(["verify", "out/d.zarr", "--census"]) == 0
    said = capsys.readouterr()
    assert [line.split() for line in said.out.splitlines()] == [
        ["variable", "item", "NaN", "+inf", "-inf", "of"],
        ["positions", "a.txt", "6", "0", "0", "12"],
        ["positions", "b.txt", "0", "6", "6", "18"],
    ]
    assert main(["verify", "out/d.zarr", "--census", "--sources", "in/a.txt"]) == 2
    (file,) = (path for path in Path("out/d.zarr/positions/c/0").rglob("*") if path.is_file())
    file.write_bytes(b"")
    with pytest.raises(ComponentError, match="positions cannot be counted"):
        list(count_nonfinite("out/d.zarr"))
