"""Splits of a dataset: assigned by a rule, kept when items come, read apart, changed without a byte of a shard."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from ase import Atoms

from curator_core import (
    CuratedDataset,
    Pipeline,
    Source,
    SplitByFolder,
    SplitByGroup,
    SplitByKey,
    SplitByList,
    gather_pipeline,
    open_dataset,
    run_pipeline,
)
from curator_core.cli import main
from curator_core.datasets import diff_versions, list_versions
from curator_core.domains.atoms import AtomicDataZarrSink, AtomicStatsFilter
from curator_core.errors import ConfigError, IndexRangeError, MergeError, UnknownNameError
from curator_core.filters.statistics import StatisticsFilter, split_of
from curator_core.merge import verify_dataset
from curator_core.pipeline.config import component_config
from curator_core.pipeline.splits import split_rule
from curator_core.testing import DatasetSink, FileSource

KEYS = [f"g{n // 4}/run{n % 4}" for n in range(24)]
DATA = "out/d.zarr"


class Runs(Source):
    """Two structures an item; every item that is read leaves a line."""

    def __init__(self, keys):
        self.keys = keys

    def __len__(self):
        return len(self.keys)

    def key(self, index):
        return self.keys[index]

    def __getitem__(self, index):
        with Path("read.log").open("a") as log:
            log.write(f"{self.keys[index]}\n")
        number = KEYS.index(self.keys[index]) if self.keys[index] in KEYS else 99
        for part in range(2):
            yield Atoms("H2O", positions=np.full((3, 3), number + part / 10), cell=[5, 5, 5])


@pytest.fixture(autouse=True)
def _work(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)  # there is no loss of power here
    monkeypatch.chdir(tmp_path)


def build(rule, keys=KEYS, **settings):
    settings = {"db_file": "run.db", "resume": True, "track_memory": False, "split": rule, **settings}
    return Pipeline(Runs(keys), sink=AtomicDataZarrSink(DATA, chunk_rows=16, shard_rows=64), **settings)


def publish(rule, keys=KEYS, **settings):
    pipeline = build(rule, keys, **settings)
    run_pipeline(pipeline, gather=True, progress=False)
    return CuratedDataset.open(DATA).data_version


def held():
    """Split by key, as the dataset has it."""
    return {item.key: item.split for item in open_dataset(DATA).items}


def numbers(samples):
    return [round(float(atoms.positions[0, 0]), 1) for atoms in samples]


def files():
    """Number and content of the files of arrays, without those of tables and metadata."""
    found = [path for path in Path(DATA).rglob("*") if path.is_file() and "/c/" in str(path)]
    tables = tuple(f"{DATA}/{name}/" for name in ("items", "segments"))
    return {str(p): (p.stat().st_ino, p.read_bytes()) for p in found if not str(p).startswith(tables)}


def test_a_split_is_read_like_a_dataset_of_its_own():
    """By position, slice, batch, in order, pickled: what the whole dataset has of it; the rest is in other splits."""
    publish(SplitByKey(seed=3))
    whole, assigned = open_dataset(DATA), {key: split_of(key, seed=3) for key in KEYS}
    assert held() == assigned
    seen = []
    for name in ("train", "validation", "test"):
        part = open_dataset(DATA, split=name)
        expected = [n + p / 10 for n, key in enumerate(KEYS) if assigned[key] == name for p in range(2)]
        assert numbers(part) == numbers(part[:]) == numbers(pickle.loads(pickle.dumps(part))[:]) == expected
        assert numbers([part[-1], part[0]]) == [expected[-1], expected[0]]
        batch = part.batch([1, 0], ["positions"])
        assert batch.values["positions"][::3, 0].round(1).tolist() == [expected[1], expected[0]]
        assert part.to_xarray(names=["positions"]).sizes["system"] == len(part)
        assert part.identity != whole.identity
        for index in (len(part), -len(part) - 1):
            with pytest.raises(IndexRangeError, match=f"samples of the split '{name}'"):
                part[index]
        seen += expected
    assert sorted(seen) == numbers(whole)


def test_a_split_that_is_not_there_is_named_with_those_that_are():
    """Of a dataset without splits the message says what to do."""
    publish(SplitByKey({"train": 0.5, "holdout": 0.5}))
    with pytest.raises(UnknownNameError, match=r"split of .*d.zarr: 'tran'. Known: train, holdout"):
        open_dataset(DATA, split="tran")
    with pytest.raises(UnknownNameError, match="Unknown split 'tran'"):
        open_dataset(DATA).positions_of_split("tran")
    publish(None)
    with pytest.raises(ConfigError, match="has no splits: give its pipeline a rule"):
        open_dataset(DATA, split="train")


def test_another_rule_writes_no_shard_anew():
    """No item is read, every file of the arrays stays the same one, yet it is a version, which says whom it moved."""
    first = publish(SplitByKey(seed=1), keep_versions=3)
    reader, before, read = open_dataset(DATA, split="train"), files(), Path("read.log").read_text()
    pipeline = build(SplitByKey(seed=2), keep_versions=3)
    assert pipeline.outputs_to_gather() == [DATA]
    assert pipeline.config_hash == build(None).config_hash
    gather_pipeline(pipeline)
    assert pipeline.outputs_to_gather() == []
    assert (files(), Path("read.log").read_text()) == (before, read)
    second = CuratedDataset.open(DATA).data_version
    assert second != first
    assert held() == {key: split_of(key, seed=2) for key in KEYS}
    changes = diff_versions(DATA, first, second)
    moved = tuple(key for key in KEYS if split_of(key, seed=1) != split_of(key, seed=2))
    assert (changes.added, changes.changed, changes.removed, changes.reassigned) == ((), (), (), moved)
    assert list_versions(DATA)[0].record.n_reassigned == len(moved)
    assert [item.reader.splits for item in (reader, open_dataset(DATA, version=first, split="train"))]
    assert numbers(reader) == numbers(open_dataset(DATA, version=first, split="train"))
    assert verify_dataset(DATA) == verify_dataset(DATA, version=first) == []
    assert publish(None, keep_versions=3) not in (first, second)
    assert files() == before
    assert publish(SplitByKey(seed=1), keep_versions=3) == first


def test_an_items_split_stays_when_others_come():
    """The bytes are those of a dataset that is built at once, too."""
    rule = SplitByGroup(pattern=r"^g\d+")
    publish(rule, KEYS[8:])
    before = held()
    publish(rule)
    after, grown = held(), {str(p): p.read_bytes() for p in Path(DATA).rglob("*") if p.is_file()}
    assert before.items() <= after.items()
    assert len({(key.partition("/")[0], name) for key, name in after.items()}) == 6  # a group is in one split
    Path("run.db").unlink()
    for path in sorted(Path("out").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    publish(rule)
    assert {str(p): p.read_bytes() for p in Path(DATA).rglob("*") if p.is_file()} == grown


def test_groups_and_lists():
    """A group is what the pattern's part matches, or what is given; lists say it all, or name who has the rest."""
    by_number = SplitByGroup(pattern=r"run(?P<group>\d)")
    assert {by_number.group(key) for key in KEYS} == {"0", "1", "2", "3"}
    assert SplitByGroup(pattern=r"(g\d)/").group(KEYS[5]) == "g1"
    given = SplitByGroup(groups={"a": "x", "b": "x"})
    assert given.split("a") == given.split("b") == split_of("x")
    listed = SplitByList({"test": ["a"], "train": ["b"]})
    assert listed.splits("ab") == {"a": "test", "b": "train"}
    assert SplitByList({"test": ["a"]}, rest="train").splits("abc") == {"a": "test", "b": "train", "c": "train"}
    folders = SplitByFolder({"train_4M": "train", "train_more": "train", "val": "validation"})
    assert folders.splits(["train_4M/a", "b/val/c#0-1"]) == {"train_4M/a": "train", "b/val/c#0-1": "validation"}
    assert folders.names == ["train", "validation"]
    with pytest.raises(ConfigError, match="finds 'val' and 'train_4M'"):
        folders.split("val/train_4M/a")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (SplitByGroup(pattern=r"h(\d+)"), "finds no group in the key 'g0/run0'"),
        (SplitByGroup(groups={KEYS[0]: "x"}), "has no group of the item 'g0/run1'"),
        (SplitByList({"train": KEYS[1:]}), "does not have the item 'g0/run0'"),
        (SplitByFolder({"g1": "train"}), r"finds none of \['g1'\] in the key 'g0/run0'"),
    ],
)
def test_an_item_of_which_the_rule_says_nothing_is_an_error(rule, said):
    """Before any item is processed: it would be in no split, in silence."""
    with pytest.raises(ConfigError, match=said):
        run_pipeline(build(rule), gather=True, progress=False)
    assert not Path("read.log").exists()


def test_a_list_with_items_that_there_are_not_is_said(caplog):
    """They may be a slip."""
    publish(SplitByList({"test": [KEYS[0], "g0/rum1"]}, rest="train"))
    assert "names 1 items that the source has not: g0/rum1" in caplog.text


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"by": "ky"}, "Unknown rule 'ky'. Known: key"),
        ({"by": "key", "sed": 1}, "Unknown entry 'sed'. Known: seed"),
        ({"by": "key", "seed": "x"}, "here.seed must be int"),
        ({"by": "key", "fractions": {"train": 0.5}}, "fractions must be at least 0 each and 1 in all"),
        ({"by": "key", "fractions": {"": 1.0}}, "name of a split"),
        ({"by": "group"}, "either a pattern or groups"),
        ({"by": "group", "pattern": "("}, "no regular expression"),
        ({"by": "list"}, "lists"),
        ({"by": "folder", "folders": {}}, "needs names of folders"),
        ({"by": "folder", "folders": {"a/b": "train"}}, "without '/', not 'a/b'"),
        ({"by": "list", "lists": {"a": ["x"], "b": ["x"]}}, "'x' is in the splits 'a' and 'b'"),
        ("key", "must be a rule"),
    ],
)
def test_what_describes_no_rule_is_refused(given, said):
    """With the place where it stands."""
    with pytest.raises(ConfigError, match="here") as caught:
        split_rule(given, where="here")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "rule",
    [
        SplitByKey(seed=4),
        SplitByGroup(pattern=r"^(g\d)/", fractions={"train": 0.5, "test": 0.5}),
        SplitByGroup(groups={"a": "b"}),
        SplitByList({"train": ["a"], "test": ["b"]}, rest="train"),
        SplitByFolder({"train_4M": "train"}),
        None,
    ],
)
def test_a_rule_is_saved_with_its_pipeline(rule):
    """As YAML and JSON, and as a mapping in Python."""
    pipeline = Pipeline(FileSource("in"), sink=DatasetSink("out/data.json"), split=rule)
    for name in ("pipeline.yaml", "pipeline.json"):
        pipeline.save(name)
        assert Pipeline.load(name).split == rule
    assert pickle.loads(pickle.dumps(pipeline)).split == rule
    if rule is not None:
        assert pipeline.with_settings(split=rule.described()).split == rule


def test_statistics_are_of_the_pipelines_split():
    """Under another rule they are put together anew from what is kept of each item; an unknown split is refused."""
    step = StatisticsFilter("out/stats.parquet", ["x"], split="train")

    def counted(rule):
        pipeline = Pipeline(
            Numbers(KEYS), [step], DatasetSink("out/data.json"), split=rule, db_file="s.db", resume=True
        )
        run_pipeline(pipeline, gather=True, progress=False)
        (row,) = pq.read_table("out/stats.parquet").to_pylist()
        return row["count"], row["mean"]

    for rule in (
        SplitByKey(seed=1),
        SplitByGroup(pattern=r"^g\d"),
        SplitByList({"test": KEYS[:9]}, rest="train"),
        None,
    ):
        splits = {key: split_of(key) for key in KEYS} if rule is None else rule.splits(KEYS)
        expected = [n for n, key in enumerate(KEYS) if splits[key] == "train"]
        assert counted(rule) == (len(expected), pytest.approx(np.mean(expected)))
    assert len(Path("read.log").read_text().splitlines()) == len(KEYS)
    with pytest.raises(UnknownNameError, match=r"split 'train'. Known: fit, test"):
        counted(SplitByKey({"fit": 0.5, "test": 0.5}))
    with pytest.raises(ConfigError, match="has fractions or a seed of its own"):
        Pipeline(FileSource("in"), [StatisticsFilter("s.parquet", split="train", seed=9)], split=SplitByKey()).check()


def test_statistics_of_structures_are_of_the_pipelines_split():
    """So that a model is normalised by what it may see; which split, is no part of the configuration."""
    rule = SplitByGroup(pattern=r"^g\d", seed=2)
    pipeline = build(rule).with_settings(filters=[AtomicStatsFilter("out/stats.parquet", split="train")])
    run_pipeline(pipeline, gather=True, progress=False)
    counts = {row["field"]: row["structures"] for row in pq.read_table("out/stats.parquet").to_pylist()}
    assert counts["positions"] == len(open_dataset(DATA, split="train")) < 2 * len(KEYS)
    with pytest.raises(UnknownNameError, match="Unknown split 'train'"):
        pipeline.with_settings(split=SplitByKey({"fit": 1.0})).check()
    whole = pipeline.with_settings(filters=[AtomicStatsFilter("out/stats.parquet")])
    assert whole.config_hash == pipeline.config_hash
    gather_pipeline(whole)
    counts = {row["field"]: row["structures"] for row in pq.read_table("out/stats.parquet").to_pylist()}
    assert counts["positions"] == 2 * len(KEYS) == len(Path("read.log").read_text().splitlines()) * 2
    assert component_config(AtomicStatsFilter("s.parquet"))["params"] == {"output": "s.parquet"}


def test_a_state_that_left_the_item_out_is_refused(tmp_path):
    """A former version wrote nothing of items of other splits: under another rule they would be missing in silence."""
    step = StatisticsFilter(str(tmp_path / "s.parquet"), split="train")
    (tmp_path / "old.json").write_text('{"format":"curator-statistics-2","fields":{}}')
    with pytest.raises(MergeError, match="left its item out as of another split: process it again"):
        step.merge([str(tmp_path / "old.json")], str(tmp_path / "s.parquet"))


class Numbers(Runs):
    """One number an item."""

    def __getitem__(self, index):
        list(super().__getitem__(index))
        yield {"x": float(index)}


def test_a_sink_that_knows_no_splits_has_them_in_its_manifest():
    """Under another rule the former version is kept with its own."""
    versions = []
    for seed in (1, 2):
        pipeline = Pipeline(Numbers(KEYS), sink=DatasetSink("out/data.json"), split=SplitByKey(seed=seed))
        run_pipeline(pipeline.with_settings(db_file="j.db", resume=True), gather=True, progress=False)
        versions.append(CuratedDataset.open("out/data.json").data_version)
    for seed, version in enumerate(versions, start=1):
        manifest = CuratedDataset.open("out/data.json", data_version=version).manifest
        assert manifest.splits == {key: split_of(key, seed=seed) for key in KEYS}
        assert manifest.split_rule == SplitByKey(seed=seed).described()
    assert [version.state for version in list_versions("out/data.json")] == ["newest", "kept"]


def test_a_split_that_was_changed_by_hand_is_named(capsys):
    """`curator verify` compares the column with the manifest, `curator versions diff` says who is elsewhere."""
    first = publish(SplitByKey(seed=1))
    publish(SplitByList({"test": KEYS[:1]}, rest="train"))
    publish(SplitByList({"test": KEYS[1:2]}, rest="train"))
    main(["versions", "diff", DATA, list_versions(DATA)[1].id])
    said = capsys.readouterr()
    assert said.out.splitlines() == [f"> {KEYS[0]}", f"> {KEYS[1]}"]
    assert "2 in another split" in said.err
    main(["versions", DATA])
    assert "resplit" in capsys.readouterr().out
    manifest = Path("out/d.zarr.manifest.json")
    manifest.write_text(manifest.read_text().replace('"split": "test"', '"split": "train"'))
    (damage,) = verify_dataset(DATA)
    assert (damage.what, damage.items) == ("is in another split in the dataset than in the manifest", (KEYS[1],))
    assert first
