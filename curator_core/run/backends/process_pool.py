"""Worker processes of the standard library's ``ProcessPoolExecutor``."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import replace
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any, ClassVar

import cloudpickle

from curator_core.errors import ConfigError
from curator_core.pipeline.pipeline import Pipeline
from curator_core.records import IndexResult
from curator_core.run.config import RunConfig, n_workers
from curator_core.run.options import MAX_WORKERS, TIMEOUT, Option, Options
from curator_core.run.scheduling.chunks import MAX_CHUNK
from curator_core.run.scheduling.dispatch import ChunkedBackend, ExecutorPool, TimeoutWatchdog, WorkerPool
from curator_core.run.signals import signals_delivered
from curator_core.run.workers.ability import check_may_have_children, semaphores_needed, temporary_files_needed
from curator_core.run.workers.heartbeats import Heartbeats
from curator_core.run.workers.preloading import modules_of, start_fork_server
from curator_core.run.workers.start_method import check_context, check_main_guard, is_main_loaded, start_method
from curator_core.run.workers.worker import Chunk, WorkerSetup, begin_process, process_chunk

logger = logging.getLogger("curator")

END_SECONDS = 5.0
"""How long idle workers may take to end."""


def _check_max_tasks(given: object) -> None:
    if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < 1):
        raise ConfigError(f"max_tasks_per_child must be a positive number of items per worker process, not {given!r}.")


def _check_initializer(given: object) -> None:
    if given is not None and not callable(given):
        raise ConfigError(f"initializer must be a function, not {given!r}.")


def _check_initargs(given: object) -> None:
    if given is not None and (isinstance(given, str | bytes) or not isinstance(given, Iterable)):
        raise ConfigError(f"initargs must be a tuple of the initializer's arguments, no {type(given).__name__}.")


def _method_of(context: object) -> object:
    """Name of a start method that is given so or as a context; ``None`` leaves it to us."""
    return context if isinstance(context, str) or context is None else getattr(context, "get_start_method", str)()


class ProcessPoolBackend(ChunkedBackend):
    """Worker processes on this machine.

    The pipeline is sent once per worker; indices travel in chunks sized from their measured cost.
    """

    name: ClassVar[str] = "process_pool"
    description: ClassVar[str] = "Worker processes on this machine."
    options: ClassVar[Options] = {
        "max_workers": MAX_WORKERS,
        "mp_context": Option("How workers are started: `fork`, `forkserver`, `spawn`, or a context.", check_context),
        "initializer": Option("Function that every worker calls first.", _check_initializer),
        "initargs": Option("Its arguments.", _check_initargs),
        "max_tasks_per_child": Option("Items after which a worker process is replaced.", _check_max_tasks),
        "timeout": TIMEOUT,
    }
    loop_with_one_worker: ClassVar[bool] = True
    knows_all: ClassVar[bool] = True

    @classmethod
    def check_options(cls, options: dict[str, Any]) -> None:
        """Refuse unknown options, wrong values, and those that exclude each other.

        Raises
        ------
        ConfigError
            An option is unknown, or its value is none that it can have.
        """
        super().check_options(options)
        if options.get("max_tasks_per_child") is not None and _method_of(options.get("mp_context")) == "fork":
            raise ConfigError(
                "max_tasks_per_child cannot be had with mp_context='fork'; leave mp_context out, or use 'forkserver'."
            )

    @classmethod
    def check_script(cls, options: dict[str, Any]) -> None:
        """Refuse a script without a main guard, unless its workers are forked for sure.

        A script without a guard may fork its workers, but whether that is safe can change with every module that is
        imported and every thread that is begun; so it is not made to depend on that.

        Raises
        ------
        ConfigError
            The script lacks the guard.
        """
        method = _method_of(options.get("mp_context"))
        if method != "fork":
            check_main_guard(str(method or "forkserver"))

    def max_chunk(self, config: RunConfig) -> int:
        """One item where tasks are counted: an item is a task."""
        return MAX_CHUNK if config.backend_options.get("max_tasks_per_child") is None else 1

    def pool(self, pipeline: Pipeline[Any], config: RunConfig) -> WorkerPool:
        """A process pool."""
        check_may_have_children(self.name)
        options = dict(config.backend_options)
        options.pop("timeout", None)
        workers = n_workers(config, options.pop("max_workers", None))
        setup = config.worker_setup(
            pipeline,
            owns_processes=True,
            initializer=options.pop("initializer", None),
            initargs=options.pop("initargs", None) or (),
        )
        return _Pool(setup, workers, options, config.board, modules_of(pipeline))


class _Pool(ExecutorPool):
    """A process pool that is rebuilt when a worker dies."""

    def __init__(
        self, setup: WorkerSetup, n_workers: int, options: dict[str, Any], board: Heartbeats, modules: Sequence[str]
    ) -> None:
        super().__init__(n_workers)
        self._setup = setup
        self._start_method = options.pop("mp_context", None)
        start_method(self._start_method, None)  # a script that cannot be started by it is told at once
        self._options = options
        self._watchdog = TimeoutWatchdog(board, setup.timeout)
        self._board = board
        self._modules = modules
        self._context: BaseContext | None = None

    def build(self) -> Executor:
        try:
            context = start_method(self._start_method, self._options.get("max_tasks_per_child"))
            if self._setup.initializer is not None and context.get_start_method() != "fork" and not is_main_loaded():
                self._setup = _by_value(self._setup)
            _check_initializer_travels(self._setup, context)
            self._context = context
        except ConfigError:  # once threads run, what cannot be started in another way can only be forked again
            if self._context is None:
                raise
        with semaphores_needed("process_pool"):
            return ProcessPoolExecutor(
                self.n_workers,
                mp_context=self._context,
                initializer=begin_process,
                initargs=(self._setup,),
                **self._options,
            )

    def submit_to(self, executor: Executor, chunk: Chunk) -> Future[list[IndexResult]]:
        with temporary_files_needed("Backend 'process_pool'", among_others=True):  # to start the fork server
            if self._context is not None and self._context.get_start_method() == "forkserver":
                start_fork_server(self._modules)
            future = executor.submit(process_chunk, self._setup.token, chunk)
        self._board.open()  # not before the first workers are forked: it starts threads
        self._watchdog.start()
        return future

    def on_worker_death(self) -> None:
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True, cancel_futures=True)

    def stop(self) -> None:
        """End the workers; what is in flight is abandoned."""
        self._watchdog.close()
        executor, self._executor = self._executor, None
        if executor is None:
            return
        is_idle = all(future.done() for future in self._in_flight)
        processes: list[BaseProcess] = list((getattr(executor, "_processes", None) or {}).values())
        # The executor forgets its processes when it is not waited for, whatever it is about to do with them.
        end = threading.Thread(
            target=executor.shutdown, kwargs={"cancel_futures": True}, name="curator-end", daemon=True
        )
        end.start()
        if is_idle:
            with signals_delivered():
                end.join(END_SECONDS)
            if end.is_alive():
                _tell_of_threads([process.pid for process in processes if process.is_alive()])
        if end.is_alive():
            for process in processes:
                process.terminate()
            end.join()


def _tell_of_threads(pids: Sequence[int | None]) -> None:
    logger.warning(
        "worker processes %s do not end by themselves %g s after their last item, and are ended: a component may have "
        "left threads running (close them when the item is done, or make them daemon threads)",
        pids,
        END_SECONDS,
    )


class _ByValue:
    """An initializer with its arguments, functions and classes that a shell or a notebook defined included."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __call__(self) -> None:
        initializer, arguments = cloudpickle.loads(self._content)
        initializer(*arguments)


def _by_value(setup: WorkerSetup) -> WorkerSetup:
    try:
        content = bytes(cloudpickle.dumps((setup.initializer, setup.initargs)))
    except Exception:  # noqa: BLE001 - pickling runs the user's own code; what is wrong is told by its check
        return setup
    return replace(setup, initializer=_ByValue(content), initargs=())


def _check_initializer_travels(setup: WorkerSetup, context: BaseContext) -> None:
    """Refuse an initializer that workers cannot be sent; forked ones have it already."""
    method = context.get_start_method()
    if method == "fork" or setup.initializer is None:
        return
    for name, value in (("initializer", setup.initializer), ("initargs", setup.initargs)):
        try:
            ForkingPickler.dumps(value)
        except RuntimeError:  # locks and queues of multiprocessing travel while a process is started, and only then
            continue
        except Exception as exc:  # pickling runs the user's own code: anything can be raised
            raise ConfigError(
                f"{name} cannot be sent to a worker process that is started by {method!r}: {exc}. "
                "The initializer must be a function of a module or of the script (no lambda, nothing defined inside "
                "another function), and its arguments things that can be pickled."
            ) from exc
