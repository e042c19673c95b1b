"""Advisory locks on files: each names its true holder, and nobody inherits one.

A lock (flock(2)) belongs to the opened file, which a forked child shares with its parent: a worker that outlives a
killed coordinator would keep the lock. So children close it as they begin, and programs that are started never get it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import re
import socket
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from curator_core.errors import StoreBusyError, StoreError
from curator_core.storage.disk import reason

_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}
_MAX_NAME_BYTES = 1000
_SHORT_PAUSES_S = (0.001,) * 20 + (0.005,) * 100
"""Between the first attempts, for locks that are held for a moment only."""

_held: set[int] = set()


def _forget_in_child() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)


@contextlib.contextmanager
def exclusive_lock(path: str | Path, *, timeout_s: float, holder: str) -> Iterator[None]:
    """Hold an advisory lock on the file `path`, which is created beside what it protects.

    Raises
    ------
    StoreBusyError
        Another process still holds it after `timeout_s` seconds.
    StoreError
        The file is a link or no plain file, cannot be written, or its file system has no locks.
    """
    descriptor = _locked(Path(path), time.monotonic() + timeout_s)
    _held.add(descriptor)
    try:
        _sign(descriptor, f"{holder} (process {os.getpid()}) on {socket.gethostname()}")
        yield
    finally:
        _release(descriptor)


@contextlib.contextmanager
def brief_lock(path: str | Path) -> Iterator[int]:
    """Hold an advisory lock for moments, on a file that is created; its descriptor, to read and write it.

    Nobody signs it, and whoever waits for it waits without a time limit.

    Raises
    ------
    StoreError
        The file is a link or cannot be written.
    """
    descriptor = _opened(Path(path))
    _held.add(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        _release(descriptor)


@contextlib.contextmanager
def joint_lock(
    path: str | Path,
    *,
    group: str,
    holder: str,
    timeout_s: float,
    on_wait: Callable[[str], None] = lambda _: None,
    prepare: Callable[[], object] = lambda: None,
    finish: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Hold an advisory lock that all processes of one group hold together, and others in turn.

    Parameters
    ----------
    path
        The file that is locked.
    group
        Who may hold it at the same time; written into the file.
    holder, timeout_s
        As for `exclusive_lock`.
    on_wait
        Called once with the name of the holder, when there is one to wait for.
    prepare
        Called before anybody else of the group comes, where the last one who held it was of another group.
    finish
        Called at the end, where nobody else of the group holds it still.

    Raises
    ------
    StoreBusyError, StoreError
        As for `exclusive_lock`.
    """
    path = Path(path)
    text = f"{holder} (process {os.getpid()}) on {socket.gethostname()}\n{group}"
    deadline, has_told = time.monotonic() + timeout_s, False
    with contextlib.ExitStack() as stack:
        for pause in itertools.chain(_SHORT_PAUSES_S, itertools.repeat(0.05)):
            descriptor = _opened(path)
            _held.add(descriptor)
            stack.callback(_release, descriptor)
            _check_plain(descriptor, path)
            if _is_joined(descriptor, path, text, prepare):
                break
            if time.monotonic() >= deadline:
                holder = _holder(descriptor, path)
                if _is_joined(descriptor, path, text, prepare):  # released while its holder was looked for
                    break
                raise StoreBusyError(f"{path} is locked by {holder}")
            if pause not in _SHORT_PAUSES_S and not has_told:
                has_told = True
                on_wait(f"{path} is locked by {_holder(descriptor, path)}")
            stack.close()
            time.sleep(pause)  # flock has no wait with a time limit
        try:
            yield
        finally:
            if descriptor in _held and _try(descriptor, path, fcntl.LOCK_EX):
                finish()


def _is_joined(descriptor: int, path: Path, text: str, prepare: Callable[[], object]) -> bool:
    group = text.partition("\n")[2]
    if _try(descriptor, path, fcntl.LOCK_EX) and _is_at(descriptor, path):
        if _group(descriptor) != group:
            prepare()
        _sign(descriptor, text)
        if _group(descriptor) != group:  # it cannot be written: nobody else may join
            return True
    # flock(2) makes an exclusive lock a shared one in two steps: another group may come between them.
    return _try(descriptor, path, fcntl.LOCK_SH) and _group(descriptor) == group and _is_at(descriptor, path)


def _group(descriptor: int) -> str:
    return os.pread(descriptor, _MAX_NAME_BYTES, 0).decode(errors="replace").partition("\n")[2]


def _release(descriptor: int) -> None:
    if descriptor in _held:  # not in a child that was forked meanwhile
        _held.discard(descriptor)
        with contextlib.suppress(OSError):  # a file system without locks has none to be released
            fcntl.flock(descriptor, fcntl.LOCK_UN)  # what C code forked may hold a copy of the descriptor
        os.close(descriptor)


def may_exist(host: str, pid: int) -> bool:
    """Whether a process may exist, as far as this host knows."""
    return host != socket.gethostname() or _exists(pid)


def is_locked(path: str | Path) -> bool:
    """Whether some process holds `exclusive_lock` on the file `path` at this moment; nothing is created.

    Raises
    ------
    StoreError
        The file is a link or no plain file, or its file system has no locks.
    OSError
        It is somebody else's, who lets nobody read it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    except FileNotFoundError:
        return False
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise _is_odd(path, "a link") from exc
        raise
    try:
        _check_plain(descriptor, path)
        return not _try(descriptor, path, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def _locked(path: Path, deadline: float) -> int:
    for pause in itertools.chain(_SHORT_PAUSES_S, itertools.repeat(0.05)):
        descriptor = _opened(path)
        try:
            if _is_got(descriptor, path, is_last=time.monotonic() >= deadline):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # held, or removed by the one who held it: others would lock its successor
        time.sleep(pause)  # flock has no wait with a time limit
    raise AssertionError


def _is_got(descriptor: int, path: Path, *, is_last: bool) -> bool:
    """Whether the lock was got, of the file that is there; `is_last` makes it an error that somebody has it."""
    _check_plain(descriptor, path)
    if _try(descriptor, path, fcntl.LOCK_EX):
        return _is_at(descriptor, path)
    if not is_last:
        return False
    holder = _holder(descriptor, path)
    if _try(descriptor, path, fcntl.LOCK_EX):  # released while its holder was looked for, so that none was found
        return _is_at(descriptor, path)
    raise StoreBusyError(f"{path} is locked by {holder}")


def _opened(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o666)
        except FileNotFoundError:  # its folder was removed in this moment
            path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o666)
        except PermissionError:
            if not path.exists():
                raise
            return os.open(path, os.O_RDONLY | _FLAGS)  # another user's: it can be locked, though not signed
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise _is_odd(path, "a link") from exc
        raise StoreError(
            f"Cannot create the lock file {path}: {reason(exc)}. Choose a folder that can be written."
        ) from exc


def _check_plain(descriptor: int, path: str | Path) -> None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise _is_odd(path, "no plain file")
    if found.st_nlink > 1:
        raise _is_odd(path, "a second name of another file")


def _is_odd(path: str | Path, what: str) -> StoreError:
    return StoreError(
        f"The lock file {path} is {what}, which curator never makes; nothing was written to it. "
        "See who put it there, and remove it."
    )


def _try(descriptor: int, path: str | Path, kind: int) -> bool:
    """Whether a lock was got."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as exc:
        if exc.errno not in _NO_LOCKS:
            raise StoreError(f"{path} cannot be locked: {exc.strerror}.") from exc
        raise StoreError(
            f"{path} cannot be locked: its file system has no locks ({exc.strerror}). Use a place on a local disk: "
            "set db_dir or db_file, or the environment variable CURATOR_CACHE_DIR."
        ) from exc
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _sign(descriptor: int, text: str) -> None:
    """Write down who holds the lock, where that is allowed."""
    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        return
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)
    except OSError as exc:
        if exc.errno not in (errno.ENOSPC, errno.EDQUOT):  # a full disk spoils the message, not the lock
            raise


def _holder(descriptor: int, path: Path) -> str:
    """Who holds a lock, as far as that can be found out, and what to do."""
    text = os.pread(descriptor, _MAX_NAME_BYTES, 0).decode(errors="replace").partition("\n")[0].strip()
    signed = re.search(r"\(process (\d+)\)(?: on (\S+))?", text)
    is_gone = signed is not None and signed[2] in (None, socket.gethostname()) and not _exists(int(signed[1]))
    if signed is not None and not is_gone:
        return f"{text}; wait until it has finished, or stop it."
    others = [str(pid) for pid in _processes_with(path) if pid != os.getpid()]
    if others:
        return f"process {', '.join(others)}, which was started by one that is gone; stop it, or wait for its end."
    return f"another process, which did not sign it; `fuser {path}` may tell which. Wait until it has finished."


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _processes_with(path: Path) -> list[int]:
    """Processes of this host and user that have a file open (Linux)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):  # it ended meanwhile, or is another user's
            if any(os.path.samefile(entry, path) for entry in folder.iterdir()):  # noqa: PTH121 - a link of the kernel's
                found.append(int(folder.parent.name))
    return found
