"""Where items are: paths in full, whatever the source is, gives or raises."""

from pathlib import Path
from typing import Annotated

import pytest

from curator_core import SECRET, IndexResult, Source
from curator_core.run import ItemPaths
from curator_core.testing import FaultySource, FileSource, NumbersSource


class Bucket(Source[int]):
    """Two objects of a store that wants a password."""

    def __init__(self, names: list[str], password: Annotated[str, SECRET] = "") -> None:
        self.names = names
        self.password = password

    def __len__(self):
        return len(self.names)

    def key(self, index):
        return self.names[index]

    def item_path(self, index):
        name = self.names[index]
        if name == "broken":
            raise ZeroDivisionError("division by zero")
        return None if name == "none" else f"https://me:{self.password}@host/{name}"

    def __getitem__(self, index):
        yield index


class Relative(Bucket):
    """Files below the present folder, one of which has a name that is no UTF-8."""

    def item_path(self, index):
        return f"data/{self.names[index]}" if index else "data/\udcff"


def result(index, key):
    return IndexResult(index, key, "completed")


def test_the_file_of_an_item_is_found_also_where_the_listing_has_moved_on(tmp_path):
    """By its key; a file that is gone has no path, and a wrapped source gives that of its own."""
    for name in "abc":
        (tmp_path / f"{name}.txt").write_text("1")
    for source in (FileSource(str(tmp_path)), FaultySource(FileSource(str(tmp_path)), str(tmp_path / "log"))):
        paths = ItemPaths(source, pytest.fail)
        assert paths.of(result(1, "b.txt")) == str(tmp_path / "b.txt")
        assert paths.of(result(0, "c.txt")) == paths.of(result(7, "c.txt")) == str(tmp_path / "c.txt")
        assert paths.of(result(0, "gone.txt")) is None


def test_a_source_that_knows_no_files_is_not_asked():
    """Neither for its length nor for a key."""
    assert ItemPaths(NumbersSource(2), pytest.fail).of(result(0, "000000")) is None


def test_paths_say_where_they_are_without_secrets(tmp_path, monkeypatch):
    """URLs stay but for the password; a relative path is that of the folder of the process."""
    monkeypatch.chdir(tmp_path)
    paths = ItemPaths(Bucket(["a", "none"], "hunter22"), pytest.fail)
    assert paths.of(result(0, "a")) == "https://me:***@host/a"
    assert paths.of(result(1, "none")) is None
    paths = ItemPaths(Relative(["b", "c"]), pytest.fail)
    assert paths.of(result(1, "c")) == str(Path.cwd() / "data" / "c")
    assert paths.of(result(0, "b")) == str(Path.cwd() / "data" / "\\udcff")


def test_a_source_that_cannot_say_is_asked_once():
    """The item is processed all the same; the reason is said, without secrets."""
    told = []
    paths = ItemPaths(Bucket(["broken", "a"], "division"), told.append)
    assert paths.of(result(0, "broken")) is None
    assert paths.of(result(1, "a")) is None
    assert len(told) == 1
    assert told[0].endswith("gives no path of 'broken', and is not asked for another: ZeroDivisionError: *** by zero")
