"""Outputs at local paths: under odd names, and on several file systems."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from curator_core.errors import ConfigError
from curator_core.storage import atomic
from curator_core.storage.local import LocalLocation
from curator_core.testing import LocationContract


class TestPlainFolder(LocationContract):
    """A file system of the machine."""

    def make_location(self, tmp_path):
        return LocalLocation(str(tmp_path / "out.zarr"))


class TestOddName(LocationContract):
    """A relative path that means something to shells, globs and terminals, of a folder that is not there yet."""

    @pytest.fixture(autouse=True)
    def _within(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

    def make_location(self, tmp_path):
        return LocalLocation("not there/a [b]*?.é\n{x}'.zarr")


class TestMemory(LocationContract):
    """A file system in memory, where there is one."""

    @pytest.fixture
    def tmp_path(self, tmp_path):
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path) as folder:
            yield Path(folder)

    def make_location(self, tmp_path):
        return LocalLocation(tmp_path / "out.zarr")


class TestNetworkFileSystem(LocationContract):
    """A file system that exchanges no names, and links no files."""

    @pytest.fixture(autouse=True)
    def _limits(self, monkeypatch):
        def link(*_, **__):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(atomic, "exchange", lambda *_: False)
        monkeypatch.setattr(os, "link", link)

    def make_location(self, tmp_path):
        return LocalLocation(tmp_path / "out.zarr")

    @pytest.mark.parametrize("is_new_there", [False, True])
    def test_a_kill_between_two_renames(self, tmp_path, is_new_there):
        """The old folder comes back where it is missing, and goes where the new one is there."""
        location, names = self.make_location(tmp_path), ["old", "new"][: 1 + is_new_there]
        for name in names:
            with location.publication() as staged:
                staged.mkdir()
                (staged / name).touch()
            if name == "old":
                location.work_path.replace(tmp_path / ".out.zarr.curator-old")
        location.recover()
        assert [path.name for path in tmp_path.rglob("*")] == ["out.zarr", names[-1]]


def test_unchanged_objects_are_links(tmp_path):
    """They take no room of their own."""
    location = LocalLocation(tmp_path / "out")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_bytes(b"bytes")
    before = (tmp_path / "out" / "a").stat()
    with location.publication() as staged:
        staged.mkdir()
        location.keep("a", staged / "b")
        location.keep_all([("a", "c"), ("a", "deep/d")], staged)
    assert {(tmp_path / "out" / name).stat().st_ino for name in ("b", "c", "deep/d")} == {before.st_ino}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("link", "the sink: the output '.*link' is a link, .* it points to: '.*target'"),
        ("pipe", "is a link, a pipe or a device"),
        ("file/out", "no folder"),
        ("..", "is a folder's own name"),
        ("s3://bucket/out", r"is a URL \(s3\)"),
    ],
)
def test_what_cannot_be_published_to(tmp_path, monkeypatch, name, message):
    """It is refused by name, and nothing is made."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "target")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=message):
        LocalLocation(name).check("the sink: the output")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link", "pipe"]
