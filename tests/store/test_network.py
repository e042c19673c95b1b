"""Metrics databases on network file systems."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from functools import partial

import pytest

from curator_core.errors import StoreBusyError
from curator_core.records import IndexResult
from curator_core.store import MetricsStore, StoreWriter, connection, held
from curator_core.store.connection import open_for_reading, open_for_writing
from curator_core.store.location import network_file_system

TABLE = """\
24 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
31 24 0:28 / /home rw,relatime shared:5 master:2 - nfs4 server:/home rw,vers=4.2
32 31 254:1 / /home/local rw - xfs /dev/vdb rw
33 24 0:30 / /scratch rw - lustre mds@tcp:/scratch rw
34 24 0:31 / /remote rw - fuse.sshfs me@there: rw,user_id=0
35 24 0:32 / /mnt/my\\040share rw - cifs //server/share rw
36 24 0:33 / /auto rw - autofs systemd-1 rw,fd=50
37 36 0:34 / /auto rw - nfs server:/auto rw
38 24 0:35 / /host rw - 9p hostshare rw,trans=virtio
39 24 0:36 / /union rw - fuse.mergerfs a:b rw
"""


@pytest.fixture
def table(tmp_path):
    """A table of mounted file systems."""
    path = tmp_path / "mountinfo"
    path.write_text(TABLE)
    return path


@pytest.fixture
def network(tmp_path):
    """A table in which the folder ``net`` is on NFS; and a database in there."""
    path = tmp_path / "mountinfo.net"
    folder = str(tmp_path / "net").replace(" ", "\\040")
    path.write_text(f"{TABLE}40 24 0:40 / {folder} rw - nfs4 server:/net rw\n")
    return path, tmp_path / "net" / "run.db"


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("/var/cache/run.db", None),
        ("/home/me/run.db", "nfs4"),
        ("/home", "nfs4"),
        ("/homes/me/run.db", None),
        ("/home/local/run.db", None),
        ("/scratch/a/b/c", "lustre"),
        ("/remote/run.db", "fuse.sshfs"),
        ("/mnt/my share/run.db", "cifs"),
        ("/auto/x", "nfs"),
        ("/host/x", "9p"),
        ("/union/x", None),
    ],
)
def test_network_file_systems_are_known(table, place, expected):
    """The nearest mount point decides, the later one where two share a point; user-space ones count too."""
    assert network_file_system(place, mount_table=table) == expected


def test_without_a_mount_table_nothing_is_assumed(tmp_path):
    """Where the system has no such table, every place counts as local."""
    assert network_file_system("/home/me", mount_table=tmp_path / "none") is None


def test_a_link_to_a_network_file_system_is_followed(network):
    """What counts is where the file really is."""
    mounts, path = network
    path.parent.mkdir()
    link = path.parent.parent / "link"
    link.symlink_to(path.parent)
    assert network_file_system(link / "run.db", mount_table=mounts) == "nfs4"


def journal_mode(path):
    with closing(sqlite3.connect(path)) as db:
        return db.execute("PRAGMA journal_mode").fetchone()[0]


def test_rollback_journal_and_one_warning(network, caplog):
    """On a network file system there is no write-ahead log and commits are synced; one warning says what is better."""
    mounts, path = network
    for _ in range(2):
        with closing(open_for_writing(path, mount_table=mounts)) as db:
            assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
            assert db.execute("PRAGMA synchronous").fetchone() == (2,)
            db.execute("INSERT INTO logs VALUES (NULL, 1, 't', 1, 'l', 'n', 'm', NULL, NULL)")
            assert {entry.name for entry in path.parent.iterdir()} == {"run.db"}
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith(f"{path.parent} is on a network file system (nfs4)")
    assert "db_dir" in warning
    assert "CURATOR_CACHE_DIR" in warning


def test_wal_database_is_switched_and_back(network):
    """A database in WAL mode, its log not merged yet, is switched with all its rows; on a local disk, back again."""
    mounts, path = network
    db = open_for_writing(path)
    reader = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)  # keeps the log from being merged on closing
    reader.execute("SELECT * FROM logs").fetchall()
    db.execute("INSERT INTO logs VALUES (NULL, 1, 't', 1, 'l', 'n', 'kept', NULL, NULL)")
    db.close()
    reader.close()
    assert path.with_name("run.db-wal").stat().st_size > 0
    with closing(open_for_writing(path, mount_table=mounts)) as db:
        assert db.execute("SELECT message FROM logs").fetchall() == [("kept",)]
    assert journal_mode(path) == "delete"
    assert not path.with_name("run.db-wal").exists()
    open_for_writing(path).close()
    assert journal_mode(path) == "wal"


def test_switching_waits_for_readers(network, monkeypatch):
    """A reader that has the database open is waited for; for one that stays, the database is told to be busy."""
    mounts, path = network
    open_for_writing(path).close()
    reader = open_for_reading(path)
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_S", 0.2)
    with pytest.raises(StoreBusyError, match="in use by another process"):
        open_for_writing(path, mount_table=mounts)
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_S", 20.0)
    leaving = threading.Timer(0.2, reader.close)
    leaving.start()
    open_for_writing(path, mount_table=mounts).close()
    leaving.join()
    assert journal_mode(path) == "delete"


def open_writer(path):
    return StoreWriter(path, config_hash="c" * 64, config_json="{}", resume=True, total_indices=3)


def done(index):
    return IndexResult(index, f"{index:06d}", "completed", completed_at="2026-01-01T00:00:00+00:00")


READ = """
import sys
from curator_core.store import MetricsStore
seen = []
for wanted in map(int, sys.argv[2:]):
    while not seen or seen[-1] < wanted:
        with MetricsStore(sys.argv[1]) as store:
            for _ in range(5):
                seen.append(len(store.items(1)))
                assert len(store.output_paths(1)) == 0
    print(wanted, flush=True)
assert seen == sorted(seen), seen
"""


def test_reading_while_writing(network, monkeypatch):
    """With a rollback journal readers and the writer wait for each other: no error, and never fewer results."""
    mounts, path = network
    monkeypatch.setattr(held, "open_for_writing", partial(open_for_writing, mount_table=mounts))
    with open_writer(path) as results:
        readers = [
            subprocess.Popen([sys.executable, "-c", READ, path, "0", "300", "600"], stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        for index in range(600):
            if index in (0, 300):
                assert [reader.stdout.readline() for reader in readers] == [f"{index}\n"] * 2
            results.write(done(index))
            if index % 10 == 9:
                results.flush()
        assert journal_mode(path) == "delete"
        for reader in readers:
            assert reader.communicate(timeout=60) == ("600\n", None)
            assert reader.returncode == 0


HALF = """
import os, signal, sys
from curator_core.store.connection import open_for_writing, transaction
db = open_for_writing(sys.argv[1], mount_table=sys.argv[2])
db.execute("PRAGMA cache_size=2")
row = "INSERT INTO logs VALUES (NULL, 1, 't', 1, 'l', 'n', ?, NULL, NULL)"
with transaction(db):
    db.execute(row, ("committed",))
db.execute("BEGIN IMMEDIATE")
for k in range(2000):
    db.execute(row, ("x" * 200,))
db.execute("DELETE FROM logs WHERE message = 'committed'")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_in_the_middle_of_a_commit(network):
    """What a killed writer had half written is rolled back by whoever comes next, a reader too."""
    mounts, path = network
    done = subprocess.run([sys.executable, "-c", HALF, path, mounts], check=False, stderr=subprocess.DEVNULL)
    assert done.returncode == -signal.SIGKILL
    assert path.with_name("run.db-journal").stat().st_size > 0
    assert path.stat().st_size > 200 * 1000  # half of it is in the file
    with MetricsStore(path) as store:
        assert [line["message"] for line in store.logs(1)] == ["committed"]
    with closing(open_for_writing(path, mount_table=mounts)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


WRITE = """
import sys
from functools import partial
from curator_core.records import IndexResult
from curator_core.store import StoreWriter, held
held.open_for_writing = partial(held.open_for_writing, mount_table=sys.argv[2])
with StoreWriter(sys.argv[1], config_hash="c" * 64, config_json="{}", resume=True) as results:
    first = int(sys.argv[3])
    for index in range(first, first + 100_000):
        results.write(IndexResult(index, f"{index:06d}", "completed", completed_at="2026-01-01T00:00:00+00:00"))
        if index % 10 == 9:
            results.flush()
            print(index + 1, flush=True)
"""


def test_killed_again_and_again(network):
    """Kill -9 at any moment loses nothing that was flushed, and never damages the database."""
    mounts, path = network
    n_flushed = 0
    for k in range(8):
        command = [sys.executable, "-c", WRITE, str(path), str(mounts), str(n_flushed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            for _ in range(1 + 7 * k):
                n_flushed = int(process.stdout.readline())
            os.kill(process.pid, signal.SIGKILL)
            n_flushed = max([n_flushed, *map(int, process.stdout.read().split())])
        with MetricsStore(path) as store:
            assert len(store.items(1)) >= n_flushed
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert journal_mode(path) == "delete"
