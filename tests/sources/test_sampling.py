"""Samples of items: by key and seed alone, whatever else there is."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from curator_core import FileSource, Pipeline, run_pipeline
from curator_core.errors import ConfigError
from curator_core.pipeline.components import Sink
from curator_core.pipeline.splits import split_of
from curator_core.sources.sampling import SampleSource
from curator_core.testing import SourceContract


class Texts(FileSource[str]):
    """Text files."""

    def __init__(self, root: str) -> None:
        super().__init__(root, "*.txt")

    def read(self, item):
        yield item.path.read_text()


class Nowhere(Sink[str]):
    """Takes the items and writes nothing."""

    def __call__(self, items, index):
        list(items)
        return []


def write(folder, numbers):
    """Write a text file for each number."""
    folder.mkdir(exist_ok=True)
    for number in numbers:
        (folder / f"{number:04d}.txt").write_text(str(number))
    return str(folder)


def keys(source):
    """Keys of all items."""
    return [source.key(index) for index in range(len(source))]


class TestSample(SourceContract):
    def make_source(self, tmp_path):
        return SampleSource(Texts(write(tmp_path / "in", range(8))), n_items=3)


def test_a_share_stays_when_items_are_added(tmp_path):
    """Larger ones have all of smaller ones, and every split its part."""
    root = write(tmp_path / "in", range(0, 1000, 2))
    before = keys(SampleSource(Texts(root), 0.3, seed=1))
    write(tmp_path / "in", range(1000))
    after = SampleSource(Texts(root), 0.3, seed=1)
    assert set(before) == {key for key in keys(after) if int(key[:4]) % 2 == 0}
    assert set(keys(after)) < set(keys(SampleSource(Texts(root), 0.5, seed=1)))
    assert keys(after) != keys(SampleSource(Texts(root), 0.3))
    assert 250 < len(after) < 350
    parts = [split_of(key) for key in keys(SampleSource(Texts(root), 0.1))]
    assert 0.65 < np.mean([part == "train" for part in parts]) < 0.95
    assert pickle.loads(pickle.dumps(after)).key(7) == after.key(7)
    assert next(after[7]) == str(int(after.key(7)[:4]))
    assert after.fingerprint(7) == Texts(root).fingerprint(int(after.key(7)[:4]))


def test_a_number_of_items(tmp_path):
    """Exactly, or all; from a file, too; a sample without items is said before the run."""
    root = write(tmp_path / "in", range(40))
    assert len(keys(SampleSource(Texts(root), n_items=7))) == 7
    assert len(SampleSource(Texts(root), n_items=70)) == 40
    pipeline = Pipeline(SampleSource(Texts(root), n_items=7), [], Nowhere(), db_dir=tmp_path)
    assert len(run_pipeline(pipeline, progress=False)) == 7
    with pytest.raises(ConfigError, match=r"none of 40 items is in a sample of 0.001%"):
        SampleSource(Texts(root), 1e-5).check()
    for options in ({}, {"share": 0.5, "n_items": 1}, {"share": 0.0}, {"n_items": 0}):
        with pytest.raises(ConfigError):
            SampleSource(Texts(root), **options)
