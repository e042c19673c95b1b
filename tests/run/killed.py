"""A child process that is killed before its n-th step."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from curator_core.errors import CuratorError

CHANGES = ("os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.truncate", "sqlite3.", "fcntl.flock")
"""What changes the state of a folder, with opening for writing: between two of these a kill changes nothing."""
WRITES = os.O_WRONLY | os.O_RDWR


def is_change(event, details):
    """Whether an audit event changes the state of a folder."""
    is_written = event == "open" and isinstance(details[2], int) and details[2] & WRITES
    return is_written or event.startswith(CHANGES)


def killed_at(n, action, events):
    """Do something in a child that is killed before its n-th audit event of `events`; ``False`` if it ended before."""
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0, status
        return os.WIFSIGNALED(status)
    left = n

    def hook(event, _):
        nonlocal left
        if event.startswith(events):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    code = 1
    with suppress(BaseException):
        action()
        code = 0
    os._exit(code)


def in_child(action, n=0, number=signal.SIGKILL, *, of_worker=False):
    """Exit status of an action in a process that gets a signal at its n-th event, as `subprocess` gives it.

    0: done, 3: refused, 4: interrupted, 5: failed otherwise; the file ``refusals`` says more. Returns when no forked
    worker is left either.
    """
    ends, end_of_child = os.pipe()
    pid = os.fork()
    if pid:
        os.close(end_of_child)
        os.read(ends, 1)  # nobody writes; it ends when nobody could any more
        os.close(ends)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    own = os.getpid()
    left = n

    def hook(event, details):
        nonlocal left
        if left and is_change(event, details) and (os.getpid() != own) == of_worker:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL if of_worker else number)

    def connect(*args, **options):
        connection = opened(*args, **options)
        connection.set_trace_callback(lambda sql: sql.startswith(("BEGIN", "COMMIT")) and sys.audit("sqlite3.sql"))
        return connection

    opened, sqlite3.connect = sqlite3.connect, connect
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = 5
    try:
        if n:
            sys.addaudithook(hook)
        action()
        code = 0
    except KeyboardInterrupt:
        code = 4
    except CuratorError as error:
        code = 3
        with Path("refusals").open("a") as file:
            file.write(f"{type(error).__name__}: {error}\n")
    except BaseException:  # noqa: BLE001 - told by the parent
        Path("refusals").write_text(traceback.format_exc())
    os._exit(code)
