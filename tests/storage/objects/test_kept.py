"""Former versions that a repository keeps: whole until they expire, whoever is killed, reads or publishes meanwhile."""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import sys
from importlib import metadata as installed

import pytest

from curator_core.errors import DatasetExpiredError, MergeError
from curator_core.storage.objects.location import IcechunkLocation
from curator_core.storage.objects.mirror import Mirror, readable_folder
from curator_core.storage.objects.repository import repository
from curator_core.storage.objects.unfinished import Publications
from tests.storage.objects.publisher import N_SHARDS, SHARD_BYTES, id_of, kept, publish, published, write

pytestmark = pytest.mark.xdist_group("objects")  # one server


@pytest.fixture
def local(tmp_path):
    return IcechunkLocation(str(tmp_path / "out.icechunk"))


@pytest.fixture
def location(url):
    return IcechunkLocation(f"{url}/out.icechunk")


def _restore(location, version, former):
    with location.publication(version=id_of(version), former=id_of(former)) as staged:
        location.copy_version(location.kept_version(id_of(version)), staged)


def _n_chunks(location):
    return len(list((location.work_path / "chunks").iterdir()))


def test_a_former_version_is_kept_and_expires(local):
    """It is read by its name, whole, and its objects go when it expires; other snapshots and tags stay."""
    publish(local, 1)
    publish(local, 2)
    assert (published(local), kept(local), _n_chunks(local)) == (2, [1], 2 * N_SHARDS)
    place = pickle.loads(pickle.dumps(local.kept_version(id_of(1))))
    assert place.modified_ns() < local.modified_ns()
    assert place.beside("x.json").work_path == local.work_path.with_name("out.icechunk.versions") / "x.json"
    repository(local.path).create_tag("first", place.snapshot().id)
    publish(local, 3)
    place = local.kept_version(id_of(2))
    assert place.read("values/c/0")[0] == 2
    publish(local, 4)
    assert (published(local), kept(local), _n_chunks(local)) == (4, [3], 3 * N_SHARDS)
    assert published(IcechunkLocation(f"{local.path}#first")) == 1
    for read in (lambda: place.read("values/c/0"), IcechunkLocation(f"{local.path}#{id_of(2)}").exists):
        with pytest.raises(DatasetExpiredError, match=r"out\.icechunk: there is no version '0.*: it has expired"):
            read()
    with pytest.raises(FileNotFoundError):
        local.kept_version(id_of(2))
    local.expire_version(id_of(2))
    assert local.by_version() is local


def test_a_publication_that_keeps_none(local):
    """What was there is collected, and not before."""
    publish(local, 1)
    with local.publication(version=id_of(2)) as staged:
        write(staged, 2)
    assert _n_chunks(local) == 2 * N_SHARDS
    local.collect()
    assert (published(local), local.kept_versions(), _n_chunks(local)) == (2, [], N_SHARDS)
    assert not list(local.work_path.parent.glob(".*"))


def test_a_version_that_comes_back(local):
    """Restoring moves no object; content that is published again replaces what is kept of it."""
    publish(local, 1)
    publish(local, 2)
    before = _n_chunks(local)
    _restore(local, 1, 2)
    assert (published(local), kept(local), _n_chunks(local)) == (1, [1, 2], before)
    assert (local.new_bytes(id_of(2)), local.snapshot().info.version) == (0, id_of(1))
    publish(local, 2)
    assert (published(local), kept(local)) == (2, [1])
    assert local.new_bytes(id_of(1)) > N_SHARDS * SHARD_BYTES
    assert local.new_bytes("") == local.size()


def test_a_version_that_expires_while_it_is_restored(local):
    """It is refused, and what was there stays."""
    publish(local, 1)
    publish(local, 2)

    def restore():
        with local.publication(version=id_of(1), former=id_of(2)) as staged:
            local.copy_version(local.kept_version(id_of(1)), staged)
            local.expire_version(id_of(1))

    with pytest.raises(DatasetExpiredError, match="is not kept any more"):
        restore()
    local.recover()
    assert (published(local), kept(local)) == (2, [2])


def test_a_reader_stays_with_its_version(local):
    """It fetches what it has not read yet from where the version is now, and learns that it expired."""
    publish(local, 1)
    reader = Mirror.at(readable_folder(local.path))
    opened = Mirror.at(readable_folder(local.path))
    opened.fetch("values/c/0")
    publish(local, 2)
    reader.fetch("values/c/1")
    _restore(local, 1, 2)
    local.expire_version(id_of(1))  # it is the newest: another snapshot holds it
    local.collect()
    opened.fetch("values/c/2")
    assert (readable_folder(f"{local.path}#{id_of(1)}") / "zarr.json").exists()
    publish(local, 3)
    publish(local, 4)
    for mirror in (reader, opened):
        with pytest.raises(DatasetExpiredError):
            mirror.fetch("values/c/3")


@pytest.mark.parametrize(
    "order",
    [
        [*range(12), None, *range(12, N_SHARDS)],
        [*range(11), *range(12, N_SHARDS)],
        [*range(N_SHARDS - 1, -1, -1)],
        [None, *range(2, N_SHARDS), 0, 0],
    ],
    ids=["inserted", "removed", "reversed", "mixed"],
)
def test_objects_that_move(local, order):
    """None is in the place of another, or left from before; the library moves them without reading if it can."""
    publish(local, 1)
    with local.publication() as staged:  # which tells them from one another
        write(staged, 1)
        for number in range(N_SHARDS):
            (staged / f"values/c/{number}").write_bytes(bytes([number + 1]) * SHARD_BYTES)
    with local.publication() as staged:
        write(staged, 1)
        metadata = json.loads((staged / "values/zarr.json").read_text())
        metadata["shape"] = [len(order) * SHARD_BYTES]
        (staged / "values/zarr.json").write_text(json.dumps(metadata))
        for path in (staged / "values/c").iterdir():
            path.unlink()
        for number, former in enumerate(order):
            if former is None:
                (staged / f"values/c/{number}").write_bytes(b"\xff" * SHARD_BYTES)
            else:
                local.keep(f"values/c/{former}", staged / f"values/c/{number}")
    found = [local.read(f"values/c/{number}")[0] for number in range(len(order))]
    assert found == [255 if former is None else former + 1 for former in order]
    assert len([name for name in local.objects() if "/c/" in name]) == len(order)
    if installed.version("icechunk") >= "2":
        n_new = order.count(None) + len(order) - len({*order, None}) + 1  # those that stand there twice are copied
        assert local.snapshot().info.metadata["new_bytes"] < n_new * SHARD_BYTES + 2000


def test_others_that_publish_are_not_hurt(location, tmp_path):
    """While somebody else publishes nothing is collected; what was left is, the next time."""
    publish(location, 1)
    elsewhere = tmp_path / "elsewhere" / "out.icechunk"
    elsewhere.parent.mkdir()
    with Publications(location.path, elsewhere).noted():
        publish(location, 2)
        publish(location, 3)
        assert [info.version for info in location.history()] == [id_of(3), id_of(2), id_of(1)]
    assert kept(location) == [2]
    location.recover()
    assert [info.version for info in location.history()] == [id_of(3), id_of(2)]


def test_two_that_restore_at_once(location, monkeypatch, tmp_path):
    """The second one is refused, and the version that was published meanwhile stays."""
    publish(location, 1)
    publish(location, 2)

    def restore_around_another():
        with location.publication(version=id_of(1), former=id_of(2)) as staged:
            location.copy_version(location.kept_version(id_of(1)), staged)
            with monkeypatch.context() as patched:
                patched.setenv("CURATOR_WORK_DIR", str(tmp_path / "elsewhere"))
                publish(IcechunkLocation(location.path), 3)

    with pytest.raises(MergeError, match="somebody else published there meanwhile"):
        restore_around_another()
    assert (published(location), kept(location)) == (3, [2])


def _killed(store, location, what, n):
    """Have a process publish or restore that is killed when it begins its n-th write; whether it was."""
    command = [sys.executable, "-m", "tests.storage.objects.publisher", location.path, str(what)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        store.kill_at(n, process.pid)
        process.communicate("go\n")
    store.kill_at(0, 0)
    return process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    "writes",
    [
        {"publish": [29], "restore": [6]},
        pytest.param({"publish": range(1, 46, 2), "restore": range(1, 17, 2)}, marks=pytest.mark.campaign),
        pytest.param({"publish": range(2, 46, 2), "restore": range(2, 17, 2)}, marks=pytest.mark.campaign),
    ],
    ids=["some", "odd", "even"],
)
def test_killed_at_every_write(store, location, writes):
    """The old version is there or the new one, the former one whole; what was left is collected the next time."""
    version = 1
    for number in (0, 1):
        publish(location, number)
    for what, n in ((action, n) for action, steps in writes.items() for n in steps):
        was_killed = _killed(store, location, version + 1 if what == "publish" else what, n)
        there = published(location)
        assert was_killed or (what, there) == ("restore", version - 1)
        assert there in (version, version + 1 if what == "publish" else version - 1)
        assert (version - 1 if there == version else version) in kept(location)
        location.recover()
        location.remove_leftovers()
        assert not list(location.work_path.parent.glob(".*"))
        version += 2
        publish(location, version - 1)
        publish(location, version)
        assert (published(location), kept(location)) == (version, [version - 1])
        assert [info.version for info in location.history()] == [id_of(version), id_of(version - 1)]


def test_what_a_writer_of_records_left(location, local):
    """What was begun beside the former versions is removed; what describes these stays."""
    for place in (location, local):
        publish(place, 1)
        publish(place, 2)
        described = place.kept_version(id_of(1)).beside("described.json")
        with described.publication() as staged:
            staged.write_text("1")
        killed = place.beside(f"{place.work_path.name}.versions/records.json").publication()  # which never ends
        begun = killed.__enter__()
        begun.write_text("half")
        place.remove_leftovers()
        assert not begun.exists()
        assert described.read() == b"1"
        assert not list(begun.parent.glob(".*"))
        del killed


def test_what_older_curators_published(local):
    """Their snapshots name the version as the hash of the content, or not at all."""
    with local.publication() as staged:
        write(staged, 1)
        about = json.loads((staged / "zarr.json").read_text())
        about["attributes"]["content_hash"] = id_of(1)
        (staged / "zarr.json").write_text(json.dumps(about))
    assert IcechunkLocation(f"{local.path}#{id_of(1)}").exists()
    snapshot = local.snapshot().id
    assert IcechunkLocation(f"{local.path}#{snapshot}").by_version().path == local.path
    publish(local, 2)
    assert kept(local) == [1]
    assert IcechunkLocation(f"{local.path}#{snapshot}").by_version().path == f"{local.path}#{id_of(1)}"
