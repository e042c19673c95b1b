"""How worker processes are started."""

from __future__ import annotations

import ast
import multiprocessing
import sys
import threading
from multiprocessing.context import BaseContext
from pathlib import Path

from curator_core.errors import ConfigError

UNSAFE_TO_FORK = (
    "torch",
    "jax",
    "tensorflow",
    "cupy",
    "grpc",
    "icechunk",
    "obstore",
    "pyarrow",
    "distributed",
    "prefect",
)


def start_method(given: str | BaseContext | None, max_tasks: int | None) -> BaseContext:
    """Context of the start method: as given, else fork where that is safe (it needs no importable main module).

    Parameters
    ----------
    given
        Name of a start method, or a context.
    max_tasks
        Tasks per worker process, which rules out fork.

    Raises
    ------
    ConfigError
        There is no such method here, or the script cannot be started by it.
    """
    check_context(given)
    if isinstance(given, str):
        if given != "fork":
            check_main_guard(given)
        return multiprocessing.get_context(given)
    if given is not None:
        return given
    is_safe = threading.active_count() == 1 and not any(name in sys.modules for name in UNSAFE_TO_FORK)
    if sys.platform.startswith("linux") and is_safe and max_tasks is None:
        return multiprocessing.get_context("fork")
    method = "forkserver" if sys.platform != "win32" else "spawn"
    check_main_guard(method)
    return multiprocessing.get_context(method)


def check_context(given: object) -> None:
    """Refuse what is no start method.

    Raises
    ------
    ConfigError
        There is no such method here.
    """
    known = multiprocessing.get_all_start_methods()
    if not (given is None or isinstance(given, BaseContext) or (isinstance(given, str) and given in known)):
        raise ConfigError(f"mp_context={given!r} is no start method here. Known: {', '.join(known)}.")


def is_main_loaded() -> bool:
    """Whether workers that are not forked know what the main program defines: not in a shell or a notebook."""
    main = sys.modules["__main__"]
    return getattr(main, "__spec__", None) is not None or getattr(main, "__file__", None) is not None


def check_main_guard(method: str) -> None:
    """Refuse a script that every worker would run from its top, starting workers of its own.

    Raises
    ------
    ConfigError
        The script lacks the guard that Python's multiprocessing asks for.
    """
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name.rpartition(".")[2] == "__main__":
        return  # that of a package, as of `python -m package`: multiprocessing does not run it in workers
    script = getattr(main, "__file__", None)
    if spec is None and script is not None and not Path(script).exists():
        raise ConfigError(
            f"Worker processes (started by {method!r}) run the main program again, but there is no file {script!r}: it "
            "was read from standard input, or removed. Run it from a file, or use backend='thread_pool'."
        )
    if script is None or not script.endswith(".py") or not Path(script).is_file():
        return
    for node in ast.parse(Path(script).read_bytes()).body:
        if isinstance(node, ast.If) and any(getattr(n, "id", None) == "__name__" for n in ast.walk(node.test)):
            return
    raise ConfigError(
        f"Worker processes (started by {method!r}) run {script} from its top, and it would start workers again. "
        'Put what starts the run under `if __name__ == "__main__":`, or use backend="sequential".'
    )
