"""Workers of a dask cluster."""

from __future__ import annotations

import logging
import signal
import threading
import time
import uuid
from contextlib import ExitStack, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, ClassVar

from curator_core.errors import ConfigError
from curator_core.pipeline.pipeline import Pipeline
from curator_core.records import IndexResult
from curator_core.run.config import RunConfig, n_workers
from curator_core.run.options import Option, Options
from curator_core.run.scheduling.dispatch import DRAIN_SECONDS, ChunkedBackend, Outcome, WorkerPool
from curator_core.run.signals import signals_delivered
from curator_core.run.workers.ability import check_may_have_children, live_client
from curator_core.run.workers.heartbeats import Heartbeats, WorkerStatus
from curator_core.run.workers.settings import LogLevels
from curator_core.run.workers.start_method import check_main_guard
from curator_core.run.workers.worker import (
    Chunk,
    WorkerSetup,
    install,
    process_chunk,
    uninstall,
    workers_of,
)

if TYPE_CHECKING:
    from distributed import Client, Future, Worker

logger = logging.getLogger("curator")

CONNECT_TIMEOUT_S = 30.0
"""How long the scheduler of a given address is waited for."""
_PRESENCE_SECONDS = 0.5
_COUNT_SECONDS = 2.0


class DaskBackend(ChunkedBackend):
    """Workers of a dask cluster: the active client's, one reached by ``address=``, else a local one.

    The pipeline is sent once per worker, also to those that join later; the scheduler holds a few chunks
    at a time. A cluster that was there already is used with all its workers, whatever `n_jobs`.
    """

    name: ClassVar[str] = "dask"
    description: ClassVar[str] = "Workers of a dask cluster: the active client's, of address=, or a local one."
    requires: ClassVar[tuple[str, ...]] = ("dask", "distributed")
    extra: ClassVar[str] = "dask"
    options: ClassVar[Options] = {
        "address": Option("Address of the scheduler of a cluster that is there.", beyond_loop=True),
    }
    loop_with_one_worker: ClassVar[bool] = True

    @classmethod
    def check_script(cls, options: dict[str, Any]) -> None:
        """Refuse a script without a main guard, where a local cluster will be started.

        Raises
        ------
        ConfigError
            The script lacks the guard.
        """
        if options.get("address") is None and live_client() is None:
            check_main_guard("spawn")

    def pool(self, pipeline: Pipeline[Any], config: RunConfig) -> WorkerPool:
        """The workers of a cluster."""
        setup = config.worker_setup(pipeline)
        with ExitStack() as stack:
            client, is_own = _connected(config, stack)
            return _Cluster(client, setup, config.board, stack.pop_all(), is_own=is_own)


def _connected(config: RunConfig, stack: ExitStack) -> tuple[Client, bool]:
    """A client, and whether the cluster is our own."""
    from distributed import Client, default_client

    address = config.backend_options.get("address")
    if address is not None:
        try:
            client: Client = Client(address, timeout=CONNECT_TIMEOUT_S, set_as_default=False)
        except (OSError, ValueError) as exc:
            raise ConfigError(f"There is no dask scheduler at address={address!r}: {exc}") from exc
        stack.enter_context(client)
        return client, False
    try:
        client = default_client()
    except ValueError:  # no client yet
        return _local(config, stack), True
    return client, False


def _local(config: RunConfig, stack: ExitStack) -> Client:
    import dask
    from distributed import Client, LocalCluster

    check_may_have_children("dask")
    check_main_guard("spawn")
    # The first death of a worker is told to us, who know which item it held.
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        cluster = stack.enter_context(
            LocalCluster(n_workers=n_workers(config), threads_per_worker=1, dashboard_address="127.0.0.1:0")
        )
    client: Client = stack.enter_context(Client(cluster, set_as_default=False))
    logger.info("started a local dask cluster; its dashboard: %s", client.dashboard_link)
    return client


class _RunPlugin:
    """Brings a run to every worker of the cluster, and what they do back to the coordinator.

    A `distributed.WorkerPlugin` by its methods: the class itself is not imported here.
    """

    idempotent = False

    def __init__(self, setup: WorkerSetup, topic: str, *, is_own: bool) -> None:
        self._setup = setup
        self._topic = topic
        self._is_own = is_own
        self._levels = LogLevels.of_this_process()

    def setup(self, worker: Worker) -> None:
        """A worker takes part."""
        if self._is_own:  # Ctrl-C reaches the whole group; the coordinator decides
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._levels_before = self._levels.apply()
        install(self._setup)
        self._end = threading.Event()
        threading.Thread(target=self._tell, args=(worker,), name="curator-presence", daemon=True).start()

    def teardown(self, worker: Worker) -> None:
        """The run is over, or the worker leaves."""
        self._end.set()
        self._levels_before.apply()
        uninstall(self._setup.token)

    def _tell(self, worker: Worker) -> None:
        while not self._end.wait(_PRESENCE_SECONDS):
            for other in workers_of(self._setup.token):
                presence = other.unseen_presence
                if presence is not None:
                    said = (
                        presence.worker_id,
                        presence.pid,
                        presence.host,
                        presence.index,
                        presence.since,
                        presence.elapsed_s,
                    )
                    worker.loop.add_callback(worker.log_event, self._topic, said)

    def __getstate__(self) -> dict[str, Any]:
        names = ("_setup", "_topic", "_is_own", "_levels")
        return {name: getattr(self, name) for name in names}


_Brought = tuple["Future[list[IndexResult]]", list[IndexResult] | Exception | None]
"""A future with its results, what it raised, or ``None`` when its worker died."""


class _Cluster(WorkerPool):
    """Chunks as tasks on a cluster, a few more than it has threads."""

    def __init__(
        self, client: Client, setup: WorkerSetup, board: Heartbeats, resources: ExitStack, *, is_own: bool
    ) -> None:
        self._client = client
        self._loop: Any = client.loop  # a connected client has one
        self._token = setup.token
        self._resources = resources
        self._in_flight: dict[Future[list[IndexResult]], Chunk] = {}
        self._done: SimpleQueue[_Brought] = SimpleQueue()
        self._threads = (0.0, 0)
        topic = f"curator-{setup.token}"
        with ExitStack() as failure:
            failure.push(resources)
            plugin: Any = _plugin(setup, topic, is_own=is_own)
            client.register_plugin(plugin, name=topic)
            resources.callback(client.unregister_worker_plugin, topic)
            client.subscribe_topic(topic, lambda event: board.post(WorkerStatus(*event[1])))
            resources.callback(client.unsubscribe_topic, topic)
            failure.pop_all()
        board.open()

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def has_room(self) -> bool:
        now = time.monotonic()
        if now - self._threads[0] > _COUNT_SECONDS:  # workers may come and go
            self._threads = (now, sum(self._client.nthreads().values()))
        return len(self._in_flight) < max(1, 2 * self._threads[1])

    def submit(self, chunk: Chunk) -> None:
        key = f"curator-{self._token}-{uuid.uuid4().hex}"
        future = self._client.submit(process_chunk, self._token, chunk, key=key, pure=False)
        self._in_flight[future] = chunk
        self._loop.add_callback(self._bring, future)

    async def _bring(self, future: Future[list[IndexResult]]) -> None:
        """Fetch a result in the client's loop: one that was lost with its worker may never come."""
        from distributed import CancelledError, KilledWorker

        try:
            self._done.put((future, await future))
        except (KilledWorker, CancelledError):  # its worker died, with the result or before
            self._done.put((future, None))
        except Exception as exc:  # noqa: BLE001 - raised in the thread that takes it
            self._done.put((future, exc))

    def completed(self) -> list[Outcome]:
        with signals_delivered():
            done = [self._done.get()]
        while not self._done.empty():
            done.append(self._done.get())
        return [self._taken(*brought) for brought in done]

    def _taken(self, future: Future[list[IndexResult]], brought: list[IndexResult] | Exception | None) -> Outcome:
        chunk = self._in_flight.pop(future)
        future.release()
        if isinstance(brought, Exception):
            raise brought
        return chunk, brought

    def drained(self) -> list[IndexResult]:
        deadline = time.monotonic() + DRAIN_SECONDS
        found: list[IndexResult] = []
        with signals_delivered():
            while self._in_flight and (left := deadline - time.monotonic()) > 0:
                with suppress(Empty):
                    future, brought = self._done.get(timeout=left)
                    del self._in_flight[future]
                    found += brought if isinstance(brought, list) else ()
        return found

    def stop(self) -> None:
        """Cancel what is in flight and leave the cluster, which ends if it is our own."""
        if self._in_flight:
            self._client.cancel(list(self._in_flight), force=True)
            self._in_flight = {}
        self._resources.close()


def _plugin(setup: WorkerSetup, topic: str, *, is_own: bool) -> object:
    from distributed import WorkerPlugin

    return type("CuratorRun", (_RunPlugin, WorkerPlugin), {})(setup, topic, is_own=is_own)
