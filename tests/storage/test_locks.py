"""Locks: nobody inherits one, links are not followed, and who holds one is told truthfully."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from curator_core.errors import StoreBusyError, StoreError
from curator_core.storage import locks
from curator_core.storage.locks import exclusive_lock, is_locked, joint_lock


def lock(path, timeout_s=0):
    return exclusive_lock(path, timeout_s=timeout_s, holder="test")


def forked(work):
    """What a forked child writes to a pipe, and its process id; it stays until it is killed."""
    theirs, ours = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(ours, work().encode())
            signal.pause()
        finally:
            os._exit(1)
    os.close(ours)
    with os.fdopen(theirs, "rb", buffering=0) as file:
        return file.read(1000).decode(), pid


@pytest.fixture
def killed():
    """Children to be killed at the end."""
    pids = []
    yield pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_forked_child_has_no_part_in_the_lock(tmp_path, killed):
    """Once the holder lets go, the lock is free, whatever its children do; they cannot let go for it."""
    path = tmp_path / "l"
    with lock(path):
        _, pid = forked(lambda: "ready")
        killed.append(pid)
        assert is_locked(path)
    assert not is_locked(path)


def test_a_child_that_leaves_the_block_releases_nothing(tmp_path):
    """A child that unwinds through its parent's block leaves the parent's lock as it is."""
    path = tmp_path / "l"
    with lock(path):
        pid = os.fork()
        if pid == 0:
            try:
                with lock(tmp_path / "own"):
                    pass
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert is_locked(path)


def test_a_killed_holder_with_a_child(tmp_path):
    """A worker that was forked, has begun, and outlives its killed coordinator holds nothing."""
    code = (
        "import os, signal, sys; from curator_core.storage.locks import exclusive_lock\n"
        "with exclusive_lock(sys.argv[1], timeout_s=0, holder='x'):\n"
        "    if os.fork() == 0: print(os.getpid(), flush=True); signal.pause()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, tmp_path / "l"], stdout=subprocess.PIPE, text=True) as child:
        orphan = int(child.stdout.readline())
        child.wait()
        with lock(tmp_path / "l"):
            pass
        os.kill(orphan, signal.SIGKILL)


def test_a_started_program_has_no_part_in_it(tmp_path):
    """A program that a component starts does not get the descriptor, even if it gets all that can be inherited."""
    with lock(tmp_path / "l"):
        shown = subprocess.run(
            ["ls", "-l", "/proc/self/fd"], capture_output=True, text=True, close_fds=False, check=True
        )
        assert "/l\n" not in shown.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")
def test_the_message_names_who_really_holds_it(tmp_path):
    """Where the one who signed is gone, the process that has the lock's file open is named."""
    path = tmp_path / "l"
    code = (
        "import fcntl, os, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX)\n"
        "f.write('curator (process 4194303) on ' + os.uname().nodename); f.flush()\n"
        "print('ready', flush=True); sys.stdin.read()\n"
    )
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    with subprocess.Popen([sys.executable, "-c", code, path], text=True, **pipes) as child:
        assert child.stdout.readline() == "ready\n"
        with (
            pytest.raises(StoreBusyError, match=rf"l is locked by process {child.pid}, which was started by"),
            lock(path),
        ):
            pass
        child.stdin.close()


def test_another_hosts_holder_is_believed(tmp_path):
    """Whether a process of another host exists is not asked here."""
    path = tmp_path / "l"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write("curator (process 4194303) on elsewhere")
        file.flush()
        assert socket.gethostname() != "elsewhere"
        with pytest.raises(StoreBusyError, match=r"curator \(process 4194303\) on elsewhere; wait"), lock(path):
            pass


def make_link(path, other):
    path.symlink_to(other)


def make_hard_link(path, other):
    path.hardlink_to(other)


def make_dangling(path, other):
    path.symlink_to(other.with_name("new"))


def make_fifo(path, _):
    os.mkfifo(path)


def make_folder(path, _):
    path.mkdir()


@pytest.mark.parametrize("make", [make_link, make_hard_link, make_dangling, make_fifo, make_folder])
def test_an_odd_lock_file_is_refused_by_name(make, tmp_path):
    """Nothing is written through a link or into what is no plain file, and nothing waits for a FIFO's other end."""
    other = tmp_path / "thesis"
    other.write_text("work")
    make(tmp_path / "m.lock", other)
    with pytest.raises(StoreError, match=r"m\.lock"), lock(tmp_path / "m.lock"):
        pass
    assert other.read_text() == "work"
    assert not (tmp_path / "new").exists()
    if make is not make_folder:
        with pytest.raises(StoreError, match=r"m\.lock"):
            is_locked(tmp_path / "m.lock")


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks(code, tmp_path, monkeypatch):
    """The error names the file and says what to do."""

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    path = tmp_path / "m.lock"
    path.touch()
    monkeypatch.setattr(fcntl, "flock", refuse)
    joint = joint_lock(path, group="a", holder="b", timeout_s=0)
    for ask in (lambda: lock(path).__enter__(), joint.__enter__, lambda: is_locked(path)):
        with pytest.raises(
            StoreError, match=r"m\.lock cannot be locked: its file system has no locks .* CURATOR_CACHE_DIR"
        ):
            ask()


def test_a_full_disk_spoils_only_the_signature(tmp_path, monkeypatch):
    """The lock holds although nothing can be written into its file."""

    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "pwrite", full)
    with lock(tmp_path / "l"):
        assert is_locked(tmp_path / "l")


def test_another_users_lock_file():
    """A lock file that may be read but not written can be locked all the same; needs root, to become another user."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    folder = Path(tempfile.mkdtemp())  # not below tmp_path, which is the owner's alone
    folder.chmod(0o755)
    path = folder / "l"
    path.write_text("curator (process 1)")
    path.chmod(0o644)
    libc = ctypes.CDLL(None)

    def work():
        libc.setuid(65534)
        with lock(path):
            return f"{is_locked(path)} {path.read_text()}"

    said, pid = forked(work)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    shutil.rmtree(folder)
    assert said == "True curator (process 1)"


def test_released_while_its_holder_is_looked_for(tmp_path, monkeypatch):
    """The lock is got, in place of an error that can name nobody."""
    path = tmp_path / "a.lock"
    held = exclusive_lock(path, timeout_s=0, holder="first")
    held.__enter__()
    look = locks._holder

    def release(*asked):
        held.__exit__(None, None, None)
        return look(*asked)

    monkeypatch.setattr(locks, "_holder", release)
    with exclusive_lock(path, timeout_s=0, holder="second"):
        assert path.read_text().startswith("second")


def joint(path, group, timeout_s=0, **told):
    return joint_lock(path, group=group, holder=f"run {group}", timeout_s=timeout_s, **told)


def test_a_group_shares_its_lock_and_others_wait(tmp_path):
    """Another group is told who holds it; the group learns whether another came between."""
    path, seen = tmp_path / "l", []
    said = {"prepare": lambda: seen.append("prepared"), "finish": lambda: seen.append("finished")}
    with joint(path, "a", **said):
        with joint(path, "a", **said), pytest.raises(StoreBusyError, match=r"l is locked by run a \(process"):
            joint(path, "b").__enter__()
        assert seen == ["prepared"]  # the second found the first there, and left it there
    assert seen == ["prepared", "finished"]
    with joint(path, "a", **said):
        assert seen.count("prepared") == 1  # nobody came between
    with joint(path, "b"), pytest.raises(StoreBusyError), lock(path):
        pass
    with joint(path, "a", **said):
        assert seen.count("prepared") == 2


def test_a_group_that_cannot_be_prepared_leaves_the_lock_as_it_was(tmp_path):
    """The next of the group prepares, and those before keep their turn."""
    path = tmp_path / "l"
    with joint(path, "a"):
        pass
    with pytest.raises(ZeroDivisionError), joint(path, "b", prepare=lambda: 1 // 0):
        pass
    with joint(path, "a", prepare=lambda: pytest.fail("nobody came between")):
        pass
    with joint(path, "b", prepare=lambda: None), pytest.raises(StoreBusyError), joint(path, "a"):
        pass


def test_who_is_waited_for_is_told_once(tmp_path):
    """After a moment, and not for a lock that is held for a moment only."""
    path, told, is_told = tmp_path / "l", [], threading.Event()

    def wait():
        with joint(path, "a", timeout_s=60, on_wait=lambda text: (told.append(text), is_told.set())):
            pass

    waiter = threading.Thread(target=wait)
    with lock(path):
        waiter.start()
        assert is_told.wait(60)
        waiter.join(0.2)  # while it asks some times more
    waiter.join()
    assert len(told) == 1
    assert "locked by test (process" in told[0]


def test_processes_of_two_groups_are_never_at_work_together(tmp_path):
    """Many short turns of three processes of two groups: a group's counter never changes while another works."""
    code = """
import sys, time
from pathlib import Path
from curator_core.storage.locks import joint_lock
path, group, log = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
for _ in range(25):
    with joint_lock(path, group=group, holder=group, timeout_s=30):
        with log.open("a") as file: file.write(f"+{group}\\n")
        time.sleep(0.001)
        with log.open("a") as file: file.write(f"-{group}\\n")
"""
    log = tmp_path / "log"
    command = [sys.executable, "-c", code, str(tmp_path / "l")]
    running = [subprocess.Popen([*command, group, str(log)]) for group in "aab"]
    assert [process.wait() for process in running] == [0, 0, 0]
    inside = {"a": 0, "b": 0}
    for line in log.read_text().split():
        inside[line[1]] += 1 if line[0] == "+" else -1
        assert not (inside["a"] and inside["b"])
