"""Former versions of local outputs: kept by a move, whatever is killed, on every kind of file system."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from curator_core.errors import ConfigError
from curator_core.storage import atomic
from curator_core.storage.kept import checked_keep_versions, find_moved
from curator_core.storage.local import LocalLocation
from tests.run.killed import killed_at

OLD, NEW = "0" * 64, "1" * 64
STEPS = ("open", "os.", "shutil.")


def write(path, content, kind):
    if kind == "file":
        path.write_text(content)
    else:
        (path / "deep").mkdir(parents=True)
        for name in ("zarr.json", "deep/b"):
            (path / name).write_text(content)


def content(path):
    """Text of a file, or of all files in a folder where it is the same; two texts where it is not."""
    if path.is_file():
        return path.read_text()
    return "+".join(sorted({file.read_text() for file in path.rglob("*") if file.is_file()}))


def no_links(*_, **__):
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


LIMITS = {"exchange": (atomic, "exchange", lambda *_: False), "link": (os, "link", no_links)}


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    """A kill loses nothing that was written: what is made durable is made so for a loss of power."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture(params=["all", "exchange", "link", "another disk"])
def file_system(request, monkeypatch, tmp_path):
    """A file system that can do everything, one that cannot exchange names, or link, and versions on another disk."""
    if request.param in LIMITS:
        monkeypatch.setattr(*LIMITS[request.param])
    if request.param != "another disk":
        yield request.param
        return
    if not os.access("/dev/shm", os.W_OK) or Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one disk only")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        yield elsewhere


def published(folder, kind, file_system):
    """An output in its first version, in a new folder."""
    folder.mkdir()
    path = folder / ("out.json" if kind == "file" else "out.zarr")
    if file_system.startswith("/"):
        disk = Path(file_system) / folder.name
        disk.mkdir()
        path.with_name(f"{path.name}.versions").symlink_to(disk)
    location = LocalLocation(path)
    with location.publication() as staged:
        write(staged, "old", kind)
    return location


def publish(location, kind, *, text="new", version=NEW, former=OLD):
    with location.publication(version=version, former=former) as staged:
        write(staged, text, kind)


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_killed_at_every_step(tmp_path, kind, file_system):
    """The output is the old or the new one, the old one is found meanwhile, and nothing is ever under a wrong name."""
    for n in itertools.count(1):
        location = published(tmp_path / str(n), kind, file_system)
        path = location.work_path
        was_killed = killed_at(n, lambda location=location: publish(location, kind), STEPS)
        found = find_moved(path, lambda place: place.exists() and content(place) == "old")
        assert found is not None
        with suppress(FileNotFoundError):
            assert content(location.kept_version(OLD).work_path) == "old"
        location.recover()
        location.remove_leftovers()
        assert content(path) in ("old", "new")
        if content(path) == "new":
            assert content(location.kept_version(OLD).work_path) == "old"
        versions = path.with_name(f"{path.name}.versions")
        assert {place.name for place in path.parent.iterdir()} <= {path.name, versions.name}
        assert {place.name for place in versions.glob("*")} <= {OLD, f"{OLD}.json"}
        if not was_killed:
            break
        if content(path) == "old":
            publish(location, kind)
        assert (content(path), location.kept_versions()) == ("new", [OLD])
        shutil.rmtree(path.parent)
    assert n > 8
    assert content(path) == "new"


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_former_version_is_kept_and_expires(tmp_path, kind, file_system):
    """It lies under its name, whole, until it is deleted; a publication that names none keeps none."""
    location = published(tmp_path / "a", kind, file_system)
    publish(location, kind)
    assert (content(location.work_path), location.kept_versions()) == ("new", [OLD])
    assert content(location.kept_version(OLD).work_path) == "old"
    publish(location, kind, text="third", version="2" * 64, former="")
    assert (content(location.work_path), location.kept_versions()) == ("third", [OLD])
    location.expire_version(OLD)
    location.expire_version(OLD)
    assert location.kept_versions() == []
    with pytest.raises(FileNotFoundError):
        location.kept_version(OLD)


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_version_that_comes_back(tmp_path, kind, file_system):
    """Content that was published before replaces what is kept of it."""
    location = published(tmp_path / "a", kind, file_system)
    publish(location, kind)
    with location.publication(version=OLD, former=NEW) as staged:
        location.copy_version(location.kept_version(OLD), staged)
    assert (content(location.work_path), location.kept_versions()) == ("old", [OLD, NEW])
    publish(location, kind)
    assert content(location.kept_version(OLD).work_path) == "old"


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_describes_a_version_that_is_gone(tmp_path, kind):
    """A kill between a version and its description leaves the description, which the next publication removes."""
    location = published(tmp_path / "a", kind, "all")
    publish(location, kind)
    kept = location.kept_version(OLD).work_path
    described = [kept.with_name(f"{name}.manifest.json") for name in (kept.name, kept.name.replace("0", "2"))]
    for path in described:
        path.write_text("{}")
    location.remove_leftovers()
    assert [path.exists() for path in described] == [True, False]
    assert content(kept) == "old"


def test_new_bytes_are_those_that_no_link_shares(tmp_path):
    """What was kept from the version before costs nothing."""
    location = published(tmp_path / "a", "folder", "all")
    with location.publication(version=NEW, former=OLD) as staged:
        location.keep("zarr.json", staged / "zarr.json")
        (staged / "more").write_text("12345")
    assert (location.new_bytes(OLD), location.new_bytes(NEW)) == (5, 8)


def test_an_error_before_the_publication_keeps_nothing(tmp_path):
    """The output is as it was, and has no former version."""
    location = published(tmp_path / "a", "folder", "all")
    with pytest.raises(ZeroDivisionError), location.publication(version=NEW, former=OLD):
        raise ZeroDivisionError
    assert (content(location.work_path), location.kept_versions()) == ("old", [])


@pytest.mark.parametrize("given", [0, -1, 1.5, True, "2", None])
def test_what_is_no_number_of_versions(given):
    """The newest one counts, so it is at least 1."""
    with pytest.raises(ConfigError, match="keep_versions must be a whole number of at least 1"):
        checked_keep_versions(given)
