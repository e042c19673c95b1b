"""`curator gather`."""

import json
from pathlib import Path

import pytest
import yaml


def test_merged_paths_are_printed(curator, write_pipeline):
    """The merged outputs are printed, one a line, and nothing else."""
    path = write_pipeline(merged=True)
    curator("run", path)
    result = curator("gather", path)
    assert (result.code, result.out, result.err) == (0, "out/total.txt\n", "")
    assert Path("out/total.txt").read_text() == "10"


def test_shards_are_removed(curator, write_pipeline):
    """After merging, the shards are gone."""
    path = write_pipeline(merged=True)
    curator("run", path)
    curator("gather", path)
    assert not list(Path("out").glob("total_shard_*"))


def test_keep_shards(curator, write_pipeline):
    """--keep-shards leaves them."""
    path = write_pipeline(merged=True)
    curator("run", path)
    curator("gather", path, "--keep-shards")
    assert len(list(Path("out").glob("total_shard_*"))) == 5


def test_nothing_to_merge_is_said(curator, write_pipeline):
    """A pipeline without shards is no error; the reason goes to stderr."""
    result = curator("gather", write_pipeline())
    assert (result.code, result.out) == (0, "")
    assert result.err == "Nothing to merge: no component of p.yaml writes shards.\n"


def test_workers(curator, write_pipeline):
    """As many as for a run, on a backend that there is."""
    path = write_pipeline(merged=True)
    curator("run", path)
    result = curator("gather", path, "-j", "2", "--backend", "thread_pool")
    assert (result.code, result.out) == (0, "out/total.txt\n")
    for options, said in ((("-j", "0"), "n_jobs must be a positive number"), (("--backend", "none"), "backend 'none'")):
        result = curator("gather", path, *options)
        assert result.code != 0
        assert said in result.err


@pytest.fixture
def dataset(curator):
    """A pipeline file with a dataset of three files, one of which fails; it was run."""
    Path("in").mkdir()
    for name, text in (("a", "1"), ("b", "none"), ("c", "3")):
        Path(f"in/{name}.txt").write_text(text)
    parts = {
        "source": {"component": "curator_core.testing:FileSource", "params": {"folder": "in"}},
        "sink": {"component": "curator_core.testing:DatasetSink", "params": {"output": "out/data.json"}},
        "settings": {"db_file": "run.db"},
    }
    Path("d.yaml").write_text(yaml.safe_dump(parts))
    assert curator("run", "d.yaml", "-q").code == 1
    return "d.yaml"


def test_the_data_version_of_a_dataset_is_said(curator, dataset):
    """To stderr, with what is missing and where the manifest is."""
    result = curator("gather", dataset)
    version = json.loads(Path("out/data.json.manifest.json").read_text())["data_version"]
    assert (result.code, result.out) == (0, "out/data.json\n")
    assert f"Data version {version}, 2 items, 1 missing: out/data.json.manifest.json" in result.err


@pytest.mark.parametrize(("given", "code"), [("0", 1), ("1", 0), ("33%", 1), ("34%", 0), ("33.4%", 0)])
def test_max_missing(curator, dataset, given, code):
    """A number of items, or a percentage; above it nothing is published."""
    result = curator("gather", dataset, "--max-missing", given)
    assert result.code == code
    assert Path("out/data.json").exists() == (code == 0)
    assert ("b.txt: failed: ValueError" in result.err) == (code == 1)


@pytest.mark.parametrize("given", ["-1", "some", "100%", "0.5", "1e3", "%"])
def test_a_wrong_max_missing_is_refused(curator, dataset, given):
    """What could be given is said."""
    result = curator("gather", dataset, f"--max-missing={given}")
    assert result.code == 2
    assert "neither a number of items, such as 3, nor a percentage below 100%" in result.err
