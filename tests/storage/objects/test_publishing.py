"""What is published to a repository stays whole, whoever else publishes, dies or is cut off meanwhile."""

from __future__ import annotations

import os
import queue
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from benchmarks.object_server import BUCKET, object_server
from curator_core.errors import MergeError, ObjectStoreError
from curator_core.storage.locations import location_of
from curator_core.storage.objects import stores
from curator_core.storage.objects.location import IcechunkLocation
from curator_core.storage.objects.mirror import readable_folder
from curator_core.storage.objects.repository import repository
from tests.storage.objects.publisher import N_SHARDS, SHARD_BYTES, kept, published, write

pytestmark = pytest.mark.xdist_group("objects")  # one server

N_KILLS = int(os.environ.get("CURATOR_PUBLICATION_KILLS", "40"))
"""Of the campaign."""


@pytest.fixture
def location(url):
    return IcechunkLocation(f"{url}/out.icechunk")


def _publish(location, version):
    with location.publication() as staged:
        write(staged, version)


def test_versions_stay_as_they_are(location):
    """Each publication is a snapshot, which is read by its name or its tag whatever is published later."""
    _publish(location, 1)
    pinned = location.snapshot()
    _publish(location, 2)
    newest, first = location.history()
    assert (newest.written_at > first.written_at, first.id) == (True, pinned.id)
    assert (pinned.read("values/c/0")[0], published(location)) == (1, 2)
    repository(location.path).create_tag("first", first.id)
    for name in (first.id, "first"):
        version = location_of(f"{location.path}#{name}")
        assert published(version) == 1
        assert version.work_path == location.work_path
        assert (readable_folder(version.path) / "zarr.json").exists()


def test_unchanged_objects_are_not_sent_again(store, location):
    """Those that keep their name are not even read; those that move are copied as they are."""
    _publish(location, 1)
    store.counts()
    changed = location.read("values/c/5")[:-1] + b"x"
    with location.publication() as staged:
        write(staged, 1)
        for number in set(range(N_SHARDS)) - {5}:
            (staged / "values" / "c" / str(number)).unlink()
            location.keep(f"values/c/{number}", staged / "values" / "c" / str(number))
        (staged / "values" / "c" / "5").write_bytes(changed)
    counts = store.counts()
    assert counts["PUT bytes"] < 2 * SHARD_BYTES  # of 24
    before = location.snapshot()
    order = [*range(1, N_SHARDS), 0]
    with location.publication() as staged:
        write(staged, 1)
        for number in range(N_SHARDS):
            (staged / "values" / "c" / str(number)).unlink()
            location.keep(f"values/c/{order[number]}", staged / "values" / "c" / str(number))
    after = location.snapshot()
    for number in range(N_SHARDS):
        assert after.read(f"values/c/{number}") == before.read(f"values/c/{order[number]}")


def test_a_smaller_array_and_one_of_another_kind(location):
    """What is there no more is gone, also where a node is made anew under the same name."""
    _publish(location, 1)
    for chunks in ({"0": b"a" * SHARD_BYTES}, {"0": b"b" * 10, "1": b"b" * 10}):
        with location.publication() as staged:
            write(staged, 2)
            folder, size = staged / "values", len(chunks["0"])
            text = (folder / "zarr.json").read_text().replace(f"[{SHARD_BYTES}]", f"[{size}]")
            (folder / "zarr.json").write_text(text.replace(f"[{N_SHARDS * SHARD_BYTES}]", f"[{size * len(chunks)}]"))
            for path in (folder / "c").iterdir():
                path.unlink()
            for name, content in chunks.items():
                (folder / "c" / name).write_bytes(content)
        found = {name: location.read(name) for name in location.objects() if "/c/" in name}
        assert found == {f"values/c/{name}": content for name, content in chunks.items()}


def test_a_second_publisher_is_refused(location, monkeypatch, tmp_path):
    """One from another work folder, which knows nothing of the first: what it put aside is published the next time."""
    _publish(location, 1)

    def publish_around_another():
        with location.publication() as staged:
            write(staged, 2)
            with monkeypatch.context() as patched:
                patched.setenv("CURATOR_WORK_DIR", str(tmp_path / "elsewhere"))
                _publish(IcechunkLocation(location.path), 3)

    with pytest.raises(MergeError, match="somebody else published there meanwhile"):
        publish_around_another()
    assert published(location) == 3
    location.recover()
    _publish(location, 2)
    assert published(location) == 2


def test_a_second_publisher_at_the_last_moment(location, tmp_path, monkeypatch):
    """The branch has moved when the first one commits: it is refused by the repository itself."""
    _publish(location, 1)
    pipes = queue.SimpleQueue()

    def publish_slowly():
        with location.publication() as staged:
            write(staged, 2)
            pipe = staged / "values" / "c" / "0"
            pipe.unlink()
            os.mkfifo(pipe)
            pipes.put(pipe)

    with ThreadPoolExecutor() as pool:
        slow = pool.submit(publish_slowly)
        with pipes.get(timeout=60).open("wb") as pipe:  # opens when the other end is read
            monkeypatch.setenv("CURATOR_WORK_DIR", str(tmp_path / "elsewhere"))
            _publish(IcechunkLocation(location.path), 3)
            pipe.write(b"\2" * SHARD_BYTES)
        with pytest.raises(MergeError, match="somebody else published there meanwhile"):
            slow.result()
    assert published(location) == 3


def test_what_fails_half_way_is_collected(store, location, monkeypatch):
    """The old version stands, the error says why in a sentence, and what was uploaded is deleted the next time."""
    monkeypatch.setattr(stores, "TRIES", 2)
    _publish(location, 1)
    store.disturb(503, times=1000, method="PUT", part="/chunks/")
    with pytest.raises(
        ObjectStoreError, match=r"out.icechunk cannot be used: the service does not answer properly, aft"
    ):
        _publish(location, 2)
    store.disturb(503, times=0)
    assert published(location) == 1
    location.recover()
    assert _n_left(location) == 0
    _publish(location, 2)
    assert published(location) == 2


def test_answers_under_load_while_publishing(store, location):
    """The requests are made again."""
    store.disturb(503, times=5, method="PUT", part="/chunks/")
    _publish(location, 1)
    assert store.counts()["disturbed"] == 5
    assert published(location) == 1


def test_a_connection_that_is_lost(monkeypatch, tmp_path):
    """The server goes while objects are uploaded: the error says so, and what was staged is removed."""
    monkeypatch.setattr(stores, "TRIES", 2)
    monkeypatch.setenv("CURATOR_WORK_DIR", str(tmp_path / "work"))
    with object_server() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        location = IcechunkLocation(f"s3://{BUCKET}/out.icechunk")
        _publish(location, 1)

        def lose_it():
            with location.publication() as staged:
                write(staged, 2)
                server.stop()

        with pytest.raises(ObjectStoreError, match=f"the service at {server.url} cannot be reached, after 2 tries"):
            lose_it()
    assert [path.name for path in location.work_path.parent.iterdir()] == [".out.icechunk.curator-publishing"]


def _n_left(location):
    """Number of objects that no version refers to, and of notes."""
    found = repository(location.path)
    summary = found.garbage_collect(datetime.now(UTC))
    notes = stores.object_store(stores.ObjectUrl.parse(location.path)).list().collect()
    own = location.path.removeprefix("s3://").partition("/")[2]
    n_notes = len([note for note in notes if note["path"].startswith(f"{own}.curator-publishing/")])
    return summary.chunks_deleted + summary.manifests_deleted + summary.snapshots_deleted + n_notes


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("n_kills", [2, pytest.param(N_KILLS, marks=pytest.mark.campaign)])
def test_a_publisher_that_is_killed(location, n_kills):
    """At any moment: what is there is a version that was published, and what the killed one left is collected."""
    chance = random.Random(n_kills)
    last = -1
    for number in range(n_kills):
        command = [sys.executable, "-m", "tests.storage.objects.publisher", location.path, str(last + 1)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            process.stdin.write("go\n")
            process.stdin.flush()
            if number % 2:
                process.stdout.readline()  # one is published
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(chance.random() * 0.5)
            process.kill()
            said = [int(line) for line in process.stdout]
        found = published(location)
        found = -1 if found is None else found
        assert found in (said[-1], said[-1] + 1) if said else found in (last, last + 1, last + 2)
        assert found < 1 or found - 1 in kept(location)
        last = found
        location.recover()
        location.remove_leftovers()
        assert not [*location.work_path.parent.glob(".*")]
        if location.exists() and (number % 8 == 7 or number == n_kills - 1):  # it looks at all versions
            assert _n_left(location) == 0
