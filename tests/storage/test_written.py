"""Marks of files: the same while nobody writes there, another once somebody did."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from curator_core.storage.written import await_tick, file_clock_ns, is_as_written, written_mark


def marked(path, begun_ns=0):
    mark = written_mark(str(path), begun_ns)
    assert is_as_written(str(path), mark)
    return mark


def rewritten(path, text):
    await_tick(file_clock_ns())
    path.write_text(text)


@pytest.fixture
def file(tmp_path):
    """A file of four bytes."""
    path = tmp_path / "f.txt"
    path.write_text("abcd")
    return path


def test_a_file_that_is_written_over_has_another_mark(file):
    """In place or by a rename, of the same size or another."""
    mark = marked(file)
    rewritten(file, "dcba")
    assert not is_as_written(str(file), mark)
    mark = marked(file)
    other = file.with_name("other")
    rewritten(other, "efgh")
    other.replace(file)
    assert not is_as_written(str(file), mark)


def test_a_file_that_is_copied_with_its_times_has_its_mark(file, tmp_path):
    """A folder that moves to another disk, or gets other permissions, is what it was."""
    mark = marked(file)
    shutil.copy2(file, tmp_path / "copy")
    Path(tmp_path / "copy").chmod(0o600)
    assert is_as_written(str(tmp_path / "copy"), mark)


def test_copies_that_preserve_the_same_time_are_told_apart(file):
    """Two sources of one size and time, such as an archive gives, copied to one place by a sink that preserves it."""
    first, second = file.with_name("1"), file.with_name("2")
    for path, text in ((first, "1111"), (second, "2222")):
        path.write_text(text)
        os.utime(path, (1_700_000_000, 1_700_000_000))
    begun = file_clock_ns()
    shutil.copy2(first, file)
    mark = marked(file, begun)
    await_tick(file_clock_ns())
    shutil.copy2(second, file)
    assert not is_as_written(str(file), mark)


def test_nothing_and_folders(tmp_path):
    """Nothing has no mark; a folder has that of all below it, however it is written over."""
    assert written_mark(str(tmp_path / "no"), 0) is None
    assert written_mark("a\0b", 0) is None
    assert not is_as_written(str(tmp_path / "no"), None)
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    for name in ("a", "below/b"):
        (folder / name).write_text(name)
    for change in (
        lambda: rewritten(folder / "below" / "b", "B" * len("below/b")),
        (folder / "below" / "c").touch,
        (folder / "a").unlink,
        lambda: (folder / "below" / "c").rename(folder / "c"),
    ):
        mark = marked(folder)
        change()
        assert not is_as_written(str(folder), mark)


def test_a_folder_of_very_many_files(tmp_path, monkeypatch):
    """It is marked by its own time: what it holds may change, its entries may not."""
    monkeypatch.setattr("curator_core.storage.written._MAX_FILES", 2)
    for name in "abc":
        (tmp_path / name).touch()
    mark = marked(tmp_path)
    rewritten(tmp_path / "a", "other")
    assert is_as_written(str(tmp_path), mark)
    (tmp_path / "d").touch()
    assert not is_as_written(str(tmp_path), mark)


def test_the_clock_is_that_of_files(tmp_path):
    """A file that is written bears the time of the clock, or a later one."""
    before = file_clock_ns()
    Path(tmp_path / "f").touch()
    assert before <= (tmp_path / "f").stat().st_mtime_ns <= time.time_ns()
