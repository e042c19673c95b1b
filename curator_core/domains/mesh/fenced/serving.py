"""What a reader process does: read files for another one, and end with it."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import threading
from importlib import import_module
from typing import Any, Final

from curator_core.domains.mesh.fenced.messages import Layout, mapped, received, send, written
from curator_core.errors import CuratorError

_IDLE_S: Final = 120.0
"""How long a process waits for the next file, seconds."""
_LIFELINE: Final = 0
"""Descriptor of a pipe whose other end closes with the process that asks."""


def serve(descriptor: int) -> None:
    """Answer requests until nobody asks any more."""
    _end_with_parent()
    libc = ctypes.CDLL(None)
    asked = select.poll()  # select() takes no descriptor from 1,024 on, which those of a process with many files are
    with socket.socket(fileno=descriptor) as channel:
        asked.register(channel, select.POLLIN)
        while asked.poll(_IDLE_S * 1000):
            try:
                request, file = received(channel)
            except EOFError:
                return
            function, arguments, layouts = json.loads(request)
            if layouts:
                buffer = mapped(file)
                arguments["arrays"] = [Layout(*layout).view(buffer) for layout in layouts]
            _answer(channel, function, arguments, libc)
        send(channel, b"")


def _answer(channel: socket.socket, function: str, arguments: dict[str, Any], libc: ctypes.CDLL) -> None:
    arrays: Any = []
    answer: dict[str, Any]
    try:
        module, _, name = function.partition(":")
        about, arrays, warnings = getattr(import_module(module), name)(**arguments)
        file, layouts = written(arrays)
        answer = {"about": about, "arrays": layouts, "warnings": warnings}
    except SystemExit as exc:
        file, answer = None, {"error": f"its library calls sys.exit({exc.code!r})", "warnings": []}
    except BaseException as exc:  # noqa: BLE001 - whatever a library raises, the other process names the file
        file, answer = None, {"error": _described(exc), "warnings": []}
    libc.fflush(None)  # of what C libraries print
    try:
        send(channel, json.dumps(answer).encode(), file)
    finally:
        if file is not None:
            os.close(file)


def _described(error: BaseException) -> str:
    name = type(error).__name__
    text = str(error)
    return (
        text if text and isinstance(error, ValueError | OSError | CuratorError) else f"{name}: {text}" if text else name
    )


def _end_with_parent() -> None:
    """End at once when the other process does, in the middle of a file, too."""
    if hasattr(fcntl, "F_SETSIG"):  # the kernel ends it, whatever it is at: libraries hold the GIL for long
        fcntl.fcntl(_LIFELINE, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(_LIFELINE, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(_LIFELINE, fcntl.F_SETFL, fcntl.fcntl(_LIFELINE, fcntl.F_GETFL) | os.O_ASYNC)
        if select.select([_LIFELINE], [], [], 0)[0]:  # it ended before
            os._exit(1)
        return

    def watch() -> None:
        os.read(_LIFELINE, 1)
        os._exit(1)

    threading.Thread(target=watch, name="curator-parent-watch", daemon=True).start()
