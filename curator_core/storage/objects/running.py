"""Coroutines of a library that has no other form, run to their end from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from curator_core.errors import PipelineStateError
from curator_core.storage.objects.forked import require_unforked

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def _new_loop() -> asyncio.AbstractEventLoop:
    """A loop whose end waits for a thread of the library that is just handing over a result.

    The result arrives before that thread has left Python, and a Python that ends meanwhile aborts the process.
    """
    import asyncio  # noqa: PLC0415 - takes longer than all else that most runs need of this folder

    class Loop(asyncio.SelectorEventLoop):
        def __init__(self) -> None:
            super().__init__()
            self._handover = threading.Lock()

        def call_soon_threadsafe(
            self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
        ) -> asyncio.Handle:
            with self._handover:
                return super().call_soon_threadsafe(callback, *args, context=context)

        def close(self) -> None:
            with self._handover:
                super().close()

    return Loop()


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
    loop = _new_loop()
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
    import asyncio  # noqa: PLC0415 - as above

    asyncio.set_event_loop(loop)
    try:
        outcome.set_result(loop.run_until_complete(task))
    except BaseException as exc:  # noqa: BLE001 - raised by who waits for it
        outcome.set_exception(exc)
