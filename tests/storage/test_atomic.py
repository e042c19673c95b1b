"""Lock files beside a database, and files that are published whole."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from curator_core.errors import OutputError, StoreBusyError, StoreError
from curator_core.storage.atomic import publish_text, written_shard
from curator_core.storage.locks import exclusive_lock, is_locked


def lock(path, timeout_s=0.0, holder="tests"):
    return exclusive_lock(path, timeout_s=timeout_s, holder=holder)


def test_asking_whether_it_is_locked(tmp_path):
    """Asking creates nothing, and takes the lock from nobody."""
    path = tmp_path / "x.lock"
    assert not is_locked(path)
    assert not path.exists()
    with lock(path):
        assert is_locked(path)
        assert is_locked(path)
        with pytest.raises(StoreBusyError, match=r"locked by tests \(process \d+\)"), lock(path):
            pass
    assert not is_locked(path)


def test_who_waited_for_a_lock_file_that_was_removed_waits_for_its_successor(tmp_path):
    """A lock file removed by its holder does not give the lock to two: one of its old waiters, one of the new file."""
    path = tmp_path / "x.lock"
    failures = []
    is_waiting = threading.Event()

    def wait():
        try:
            is_waiting.set()
            with lock(path, timeout_s=1.0):
                failures.append(None)
        except StoreBusyError as exc:
            failures.append(str(exc))

    waiter = threading.Thread(target=wait)
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(lock(path))
        waiter.start()
        is_waiting.wait()
        waiter.join(0.2)  # it has opened the file that is about to go
        successor = tmp_path / "successor.lock"
        second.enter_context(lock(successor, holder="successor"))
        successor.replace(path)  # at no moment is there none, which the waiter could make and have
        first.close()
        waiter.join()
    assert [text and text.partition(" is locked by ")[2].split()[0] for text in failures] == ["successor"]
    with lock(path):
        pass


def test_a_folder_that_cannot_be_made(tmp_path):
    """A lock below a file is an error that names it."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="Cannot create the lock file"), lock(tmp_path / "file" / "x.lock"):
        pass


def test_a_text_that_cannot_be_published_leaves_nothing(tmp_path):
    """Neither half of it, nor a change of what was there."""
    path = tmp_path / "a.txt"
    publish_text("first", path)
    with pytest.raises(UnicodeEncodeError):
        publish_text("second \ud800", path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.txt", "first")]
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="folder cannot be written: Is a directory"):
        publish_text("third", tmp_path / "folder")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.txt", "folder"]


def _put_folders(shard, name):
    for number in range(60):
        with written_shard(shard, "test") as temporary:
            temporary.mkdir()
            for part in range(4):
                (temporary / f"{part}").write_text(f"{name} {number}")


def test_two_processes_put_folders_in_one_place(tmp_path):
    """Of an item that two workers have: one of the two stands there in the end, whole, and nothing beside it."""
    shard = tmp_path / "d_shard_000001.part"
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(_put_folders, shard, name) for name in "ab"]:
            done.result()
    assert {path.name for path in tmp_path.iterdir()} == {shard.name}
    assert len({path.read_text() for path in shard.iterdir()}) == 1
    assert len(list(shard.iterdir())) == 4
