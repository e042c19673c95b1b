"""`curator gather`."""

from pathlib import Path


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
