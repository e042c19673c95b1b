"""Pipelines that publish to one output: it is said whose dataset is replaced, and why items are due again."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from curator_core import Pipeline, gather_pipeline, run_pipeline
from curator_core.datasets.versions import list_versions, restore_version
from curator_core.testing import DatasetSink, FileSource, StatisticsFilter

DATA = "out/d.json"


def build(name, **settings):
    settings = {"db_file": f"{name}.db", "resume": True} | settings
    return Pipeline(FileSource(name, by_content=True), sink=DatasetSink(DATA), **settings)


@pytest.fixture(autouse=True)
def _work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder, names in (("in", "ab"), ("other", "bc")):
        (tmp_path / folder).mkdir()
        for name in names:
            Path(folder, f"{name}.txt").write_text("1")


@pytest.fixture
def said(caplog):
    """What was said since the last time, by level; lines that tell what is to be gathered are left out."""

    def take():
        records = [r for r in caplog.records if "replace" in r.getMessage() or "published by another" in r.getMessage()]
        found = [(r.levelno, r.getMessage()) for r in records]
        caplog.clear()
        return found

    caplog.set_level(logging.INFO)
    return take


@pytest.mark.parametrize("settings", [{}, {"keep_versions": 1}, {"db_file": "shared.db"}])
def test_pipelines_that_publish_in_turn(said, settings):
    """Each is told that the other's dataset goes, and why its own items are due again."""
    first, second = build("in", **settings), build("other", **settings)
    run_pipeline(first, gather=True, progress=False)
    assert said() == []
    run_pipeline(second, gather=True, progress=False)
    ((level, text),) = said()
    assert level == logging.WARNING
    assert "1 of its items, such as 'a.txt', are not in the source" in text
    run_pipeline(first, gather=True, progress=False)
    (turn, replaced) = said()
    assert turn[0] == replaced[0] == logging.WARNING
    assert "2 items of this one are no longer there, and are due again" in turn[1]
    assert "1 of its items, such as 'c.txt'" in replaced[1]
    gather_pipeline(first)
    run_pipeline(first, gather=True, progress=False)
    assert said() == []


def test_another_configuration_of_the_same_items(said):
    """That is what a changed argument does: it is told, not warned of."""
    run_pipeline(build("in"), gather=True, progress=False)
    changed = build("in").with_settings(filters=[StatisticsFilter("out/s.json")])
    run_pipeline(changed, gather=True, progress=False)
    ((level, text),) = said()
    assert (level, text[:26]) == (logging.INFO, "out/d.json replaces what c")


def test_statistics_of_pipelines_with_datasets_of_their_own(said):
    """Of the filters' outputs the same is said."""

    def build(name):
        steps = FileSource(name, by_content=True).filter(StatisticsFilter("out/s.json"))
        return steps.write(DatasetSink(f"out/{name}.json")).with_settings(db_file=f"{name}.db", resume=True)

    for name, texts in (
        ("in", []),
        ("other", ["'a.txt', are not in the source"]),
        ("in", ["2 items of this one are no longer there", "'c.txt', are not in the source"]),
    ):
        run_pipeline(build(name), gather=True, progress=False)
        found = said()
        assert [level for level, _ in found] == [logging.WARNING] * len(texts)
        assert all(part in text and "out/s.json" in text for part, (_, text) in zip(texts, found, strict=True))


def test_what_was_restored_is_not_another_pipeline_s(said):
    """Whoever restores a version knows that items are due again."""
    run_pipeline(build("in"), gather=True, progress=False)
    changed = build("in").with_settings(filters=[StatisticsFilter("out/s.json")])
    run_pipeline(changed, gather=True, progress=False)
    restore_version(DATA, list_versions(DATA)[1].id)
    said()
    run_pipeline(changed, progress=False)
    assert said() == []
