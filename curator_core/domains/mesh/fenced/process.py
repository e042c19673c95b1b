"""Reader processes of this process: started when one is needed, reused, and ended with it."""

from __future__ import annotations

import atexit
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import spawn
from typing import Any, Final

from curator_core.domains.mesh.fenced.messages import Layout, mapped, received, send, written
from curator_core.errors import ConfigError, ItemTimeoutError
from curator_core.formats.arrays import Array

logger = logging.getLogger("curator")

_PROGRAM: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from curator_core.domains.mesh.fenced.serving import serve; serve(int(sys.argv[1]))"
)
_LONGEST_S: Final = 1e8
"""Years, which sockets can still count, seconds."""
_MAX_SAID: Final = 2_000
"""Characters of a reader's output that an error has."""


class ReaderError(ValueError):
    """A file cannot be read: its library raises an error, exits, or is killed by what is in it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reader gives."""

    about: Any
    """What JSON holds."""
    arrays: list[Array]
    """Arrays, in memory that they share with nobody."""


class _Process:
    """A process that reads one file after another."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._has_answered = False
        self._said = tempfile.TemporaryFile("a+b")  # noqa: SIM115 - closed in `end`
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001 - as multiprocessing
        executable = os.fsdecode(spawn.get_executable() or sys.executable)
        command = [executable, *flags, "-c", _PROGRAM, str(theirs.fileno()), json.dumps(sys.path)]
        with theirs:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # ends with this process, however it does
                stdout=self._said,
                stderr=self._said,
                pass_fds=[theirs.fileno()],
                process_group=0,  # Ctrl-C is not its business
            )
        _processes.add(self)

    def ask(self, request: bytes, file: int | None, limit_s: float | None, does: str) -> Answer | None:
        """Let it read, for some time at most; ``None`` where it had ended before, while it had nothing to do.

        Raises
        ------
        ReaderError
            It raises an error, or ends.
        """
        self._socket.settimeout(limit_s)
        try:
            try:
                send(self._socket, request, file)
            except ConnectionError:
                if self._has_answered:
                    return None
                raise
            content, descriptor = received(self._socket)
        except (EOFError, ConnectionError):
            raise ReaderError(self._end_of_process(does)) from None
        except ItemTimeoutError:  # of the run
            raise
        except TimeoutError as exc:
            self.end()
            raise ReaderError(f"the library that {does} takes longer than {limit_s:g} s") from exc
        if not content:
            return None
        self._has_answered = True
        answer = json.loads(content)
        buffer = mapped(descriptor)
        self._log(answer["warnings"])
        if "error" in answer:
            raise ReaderError(answer["error"] + self._said_so_far(", and says: "))
        if said := self._said_so_far(""):
            logger.warning("the reader says: %s", said)
        return Answer(answer["about"], [Layout(*layout).view(buffer) for layout in answer["arrays"]])

    @staticmethod
    def _log(warnings: list[str]) -> None:
        for text in warnings:
            logger.warning("%s", text)

    def _end_of_process(self, does: str) -> str:
        code = self._process.wait()
        how = f"killed its process ({signal.Signals(-code).name})" if code < 0 else f"ended its process ({code})"
        return f"the library that {does} {how}{self._said_so_far(', and said: ')}"

    def _said_so_far(self, before: str) -> str:
        """What it wrote to its standard output and error since the last time."""
        size = self._said.seek(0, os.SEEK_END)
        if not size:
            return ""
        self._said.seek(max(0, size - 4 * _MAX_SAID))
        text = self._said.read().decode(errors="replace").strip()[-_MAX_SAID:]
        self._said.truncate(0)
        return f"{before}{text}" if text else ""

    def end(self) -> None:
        """Kill it, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._close()

    def forget(self) -> None:
        """Leave it to the process that this one was forked from."""
        self._process.returncode = 0
        self._close()

    def _close(self) -> None:
        _processes.discard(self)
        self._socket.close()
        self._said.close()
        if self._process.stdin is not None:
            self._process.stdin.close()


_processes: weakref.WeakSet[_Process] = weakref.WeakSet()
_idle: list[_Process] = []


def checked_limit(limit_s: float | None, component: str) -> float | None:
    """A limit of time of a component, seconds; ``None`` is no limit.

    Raises
    ------
    ConfigError
        It is no positive number of seconds.
    """
    if limit_s is not None and (isinstance(limit_s, bool) or not 0 < limit_s < _LONGEST_S):
        raise ConfigError(f"{component}: timeout must be a positive number of seconds, or null, not {limit_s!r}.")
    return limit_s


def read_fenced(
    function: str,
    arguments: Mapping[str, Any],
    arrays: Sequence[Array] = (),
    *,
    limit_s: float | None = None,
    does: str = "reads it",
) -> Answer:
    """What a function gives in a reader process; that process ends if this call is interrupted, by a deadline say.

    Parameters
    ----------
    function
        ``module:name`` of a function that gives what JSON holds, a list of arrays, and a list of warnings.
    arguments
        Its arguments, which JSON holds.
    arrays
        What it gets as its argument `arrays`, if there are some.
    limit_s
        How long it may take, seconds; ``None`` for no limit but the deadline of an item.
    does
        What the library does, for the error.

    Raises
    ------
    ReaderError
        It raises an error, ends its process, or takes longer.
    """
    file, layouts = written(arrays)
    try:
        return _asked(json.dumps([function, arguments, layouts]).encode(), file, limit_s, does)
    finally:
        if file is not None:
            os.close(file)


def _asked(request: bytes, file: int | None, limit_s: float | None, does: str) -> Answer:
    """What the first process gives that has not ended before."""
    while True:
        try:
            process = _idle.pop()
        except IndexError:
            process = _Process()
        is_whole = False
        try:
            answer = process.ask(request, file, limit_s, does)
            is_whole = answer is not None
        except ReaderError:
            is_whole = process._process.poll() is None  # noqa: SLF001 - of this module
            raise
        finally:
            if is_whole:
                _idle.append(process)
            else:
                process.end()
        if answer is not None:
            return answer


def _forget_all() -> None:
    """A forked process starts readers of its own, and holds no end of others' pipes."""
    _idle.clear()
    for process in list(_processes):
        process.forget()


def _end_all() -> None:
    _idle.clear()
    for process in list(_processes):
        process.end()


os.register_at_fork(after_in_child=_forget_all)
atexit.register(_end_all)
