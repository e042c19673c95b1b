"""Coroutines of a library that has no other form, run to their end from any thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from curator_core.errors import PipelineStateError
from curator_core.storage.objects.forked import require_unforked

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives; an interruption cancels it, and leaves when it has ended.

    It has a thread and an event loop of its own, as the caller's may run already, in a notebook say.
    """
    try:
        require_unforked()
    except PipelineStateError:
        coroutine.close()
        raise
    outcome: Future[T] = Future()
    loop = asyncio.new_event_loop()
    task = loop.create_task(coroutine)
    thread = threading.Thread(target=_complete, args=(loop, task, outcome), name="curator-objects", daemon=True)
    thread.start()
    try:
        return outcome.result()
    except BaseException:
        if thread.is_alive() and not outcome.done():
            loop.call_soon_threadsafe(task.cancel)
        raise
    finally:
        thread.join()
        loop.close()


def _complete(loop: asyncio.AbstractEventLoop, task: asyncio.Task[T], outcome: Future[T]) -> None:
    asyncio.set_event_loop(loop)
    try:
        outcome.set_result(loop.run_until_complete(task))
    except BaseException as exc:  # noqa: BLE001 - raised by who waits for it
        outcome.set_exception(exc)
