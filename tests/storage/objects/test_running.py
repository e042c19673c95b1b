"""Coroutines of the object stores' library, run to their end."""

import asyncio
import threading

from curator_core.storage.objects.running import run


def test_a_result_is_there_when_the_thread_that_gives_it_has_left(monkeypatch):
    """The library's threads enter Python to hand results over: one that is still in there aborts a Python that ends."""
    arrived, may_leave, returned = threading.Event(), threading.Event(), threading.Event()
    write = asyncio.SelectorEventLoop._write_to_self  # type: ignore[attr-defined]  # private; typeshed has it not

    def write_slowly(loop):
        write(loop)
        may_leave.wait(timeout=10)

    monkeypatch.setattr(asyncio.SelectorEventLoop, "_write_to_self", write_slowly)

    async def asked():
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        threading.Thread(target=loop.call_soon_threadsafe, args=(answer.set_result, 1)).start()
        await answer
        arrived.set()

    def call():
        run(asked())
        returned.set()

    threading.Thread(target=call).start()
    assert arrived.wait(timeout=10)
    assert not returned.wait(timeout=0.2)
    may_leave.set()
    assert returned.wait(timeout=10)
