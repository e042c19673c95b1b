"""Mirrors of repositories on this machine are kept to a size, whoever reads them."""

from __future__ import annotations

import gc
import os

import pytest

from curator_core.errors import ConfigError
from curator_core.storage.objects.location import IcechunkLocation
from curator_core.storage.objects.mirror import Mirror, readable_folder
from tests.storage.objects.publisher import N_SHARDS, SHARD_BYTES, publish

LIMIT = 40_000


@pytest.fixture
def mirrors(tmp_path, monkeypatch):
    monkeypatch.setenv("CURATOR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("CURATOR_MIRROR_CACHE_SIZE", str(LIMIT))
    return tmp_path / "cache" / "mirrors"


@pytest.fixture
def location(tmp_path):
    location = IcechunkLocation(str(tmp_path / "out.icechunk"))
    publish(location, 1)
    return location


def _n_bytes(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _is_same(folder, number, version):
    return (folder / f"values/c/{number}").read_bytes() == bytes([version]) * SHARD_BYTES


def test_a_mirror_that_is_read_loses_files_alone(location, mirrors):
    """Those that were read longest ago, which are fetched again when they are read again; who has one open reads on."""
    folder = readable_folder(location.path)
    mirror = Mirror.at(folder)
    mirror.fetch("values/c/0")
    with (folder / "values/c/0").open("rb") as opened:
        for number in range(1, N_SHARDS):
            mirror.fetch(f"values/c/{number}")
            os.utime(folder / f"values/c/{number}", (number, number))
            assert _is_same(folder, number, 1)
            assert _n_bytes(mirrors) <= LIMIT + 200
        os.utime(folder / "values/c/0", (0, 0)) if (folder / "values/c/0").exists() else None
        assert opened.read() == bytes([1]) * SHARD_BYTES
    left = sorted(int(path.name) for path in (folder / "values/c").iterdir())
    assert 4 < len(left) <= LIMIT // SHARD_BYTES
    assert (folder / "zarr.json").exists()
    mirror.fetch("values/c/1")
    assert _is_same(folder, 1, 1)


def test_mirrors_that_nobody_reads_go_first(location, mirrors):
    """As a whole, with what an unfinished one left; the one that is read stays."""
    read = Mirror.at(readable_folder(location.path))
    publish(location, 2)
    other = readable_folder(location.path)
    idle = Mirror.at(other)
    for number in range(6):
        idle.fetch(f"values/c/{number}")
        read.fetch(f"values/c/{number}")
    del idle
    gc.collect()
    os.utime(other / ".curator-readers", (9, 9))
    killed, begun = (other.with_name(f".{name}.curator-tmp-{name}") for name in "ab")
    for place in (killed, begun):
        place.mkdir()
        (place / "zarr.json").write_bytes(b"x" * 100)
    os.utime(killed, (0, 0))
    read.fetch("values/c/6")
    assert not other.exists()
    assert (killed.exists(), begun.exists()) == (False, True)
    folder = readable_folder(f"{location.path}#{location.kept_versions()[0]}")
    assert all(_is_same(folder, number, 1) for number in range(7))
    assert _is_same_again(location)


def _is_same_again(location):
    folder = readable_folder(location.path)
    Mirror.at(folder).fetch("values/c/0")
    return _is_same(folder, 0, 2)


def test_a_size_that_is_none(location, mirrors, monkeypatch):
    """The variable is named."""
    monkeypatch.setenv("CURATOR_MIRROR_CACHE_SIZE", "much")
    with pytest.raises(ConfigError, match="CURATOR_MIRROR_CACHE_SIZE: 'much' is no size"):
        readable_folder(location.path)
