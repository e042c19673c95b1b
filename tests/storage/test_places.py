"""Places of merged outputs that curator must not write to, or must not replace."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from curator_core import Pipeline
from curator_core.errors import ConfigError
from curator_core.filters.statistics.filter import StatisticsFilter
from curator_core.merge.output_names import check_output_names
from curator_core.pipeline.components import Source
from curator_core.storage.places import check_lengths, real_place
from curator_core.testing import NumbersSource


class FolderSource(NumbersSource):
    """Reads from a folder."""

    def __init__(self, folder: str) -> None:
        super().__init__(1)


def _check(output: Path, source: Source[int] | None = None, db_file: Path | None = None) -> None:
    check_output_names(Pipeline(source or NumbersSource(1), [StatisticsFilter(str(output), ["x"])], db_file=db_file))


@pytest.mark.parametrize("name", ["out.parquet", "out_shards.db"])
@pytest.mark.parametrize("kind", ["pipe", "dangling link"])
def test_a_pipe_or_a_link_in_place_of_an_output_is_told(tmp_path, name, kind):
    """Nothing is written through a link that somebody put there, and a pipe is not removed."""
    if kind == "pipe":
        os.mkfifo(tmp_path / name)
    else:
        (tmp_path / name).symlink_to(tmp_path / "victim")
    with pytest.raises(ConfigError, match=r"link"):
        _check(tmp_path / "out.parquet")
    assert not (tmp_path / "victim").exists()


def test_an_output_that_holds_what_is_read_or_recorded_is_refused(tmp_path):
    """Replacing a folder would remove the inputs and the database in it."""
    (tmp_path / "o.parquet" / "raw").mkdir(parents=True)
    with pytest.raises(ConfigError, match="folder of FolderSource"):
        _check(tmp_path / "o.parquet", FolderSource(str(tmp_path / "o.parquet" / "raw")))
    with pytest.raises(ConfigError, match="holds the metrics database"):
        _check(tmp_path / "o.parquet", db_file=tmp_path / "o.parquet" / "m.db")
    _check(tmp_path / "p.parquet", FolderSource("a\0b/c"), db_file=tmp_path / "m.db")


def test_a_place_too_many_folders_deep_is_refused(tmp_path):
    """Thousands of folders within each other are told by what they are."""
    with pytest.raises(ConfigError, match="folders deep"):
        check_lengths(tmp_path / "/".join("n" * 900), ["x"], "the output")


def test_a_text_that_no_path_can_hold_is_itself():
    """A zero byte in a text is no reason to fail."""
    assert real_place("a\0b/c") == "a\0b/c"
    assert real_place("/x/../y") == os.path.realpath("/y")
