"""Servers that measurements and tests start for themselves."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_S = 60.0
"""Longest time that a server may take to start, seconds."""


@contextmanager
def postgres_server(*, is_durable: bool = True) -> Iterator[str]:
    """URL of a PostgreSQL server of its own, with nothing in it, reached through a socket in a private folder.

    Parameters
    ----------
    is_durable
        Whether a commit waits for the disk, as it does by default; tests need not wait.

    Raises
    ------
    FileNotFoundError
        PostgreSQL's server is not installed.
    """
    programs = postgres_programs()
    # The server refuses to run as root; Debian's package makes a user for it.
    user = "postgres" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        if user is not None:
            shutil.chown(folder, user)
        data = Path(folder) / "data"
        # All but the server itself is as Debian installs it; it takes no connections from the network.
        make = [programs / "initdb", "--pgdata", data, "--username=curator", "--auth=trust", "--no-sync"]
        subprocess.run(make, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        settings = {"listen_addresses": "", "fsync": "on" if is_durable else "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (Path(folder) / "log").open("w") as log:
            serve = [programs / "postgres", "-D", data, "-k", folder, *options]
            running = subprocess.Popen(serve, user=user, cwd=folder, stdout=log, stderr=log)
        try:
            _wait_for_postgres(programs, folder, running)
            yield f"postgresql+psycopg2://curator@/postgres?host={folder}"
        finally:
            running.send_signal(signal.SIGINT)  # fast shutdown
            running.wait(timeout=START_S)


def postgres_programs() -> Path:
    """Folder of PostgreSQL's programs, of the newest version that is installed.

    Debian keeps them out of ``PATH``, one folder for each version, in ``$CURATOR_POSTGRES`` (``/usr/lib/postgresql``).

    Raises
    ------
    FileNotFoundError
        PostgreSQL's server is not installed.
    """
    kept = Path(os.environ.get("CURATOR_POSTGRES", "/usr/lib/postgresql"))
    folders = sorted(kept.glob("*/bin"), key=lambda path: float(path.parent.name))
    for found in [*reversed(folders), *(Path(path).resolve().parent for path in [shutil.which("postgres")] if path)]:
        if (found / "initdb").exists():
            return found
    raise FileNotFoundError("PostgreSQL's server is not installed: apt-get install postgresql")


def _wait_for_postgres(programs: Path, folder: str, running: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while subprocess.run([programs / "pg_isready", "-q", "-h", folder], check=False).returncode != 0:
        if running.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("PostgreSQL did not start: " + (Path(folder) / "log").read_text())
        time.sleep(0.05)


@contextmanager
def redis_server() -> Iterator[str]:
    """URL of a Redis server of its own, for celery: it keeps nothing, and only this machine reaches it.

    Raises
    ------
    FileNotFoundError
        Redis is not installed.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise FileNotFoundError("Redis is not installed: apt-get install redis-server")
    with tempfile.TemporaryDirectory(prefix="redis") as folder:
        place = Path(folder) / "socket"
        options = {"port": "0", "unixsocket": str(place), "dir": folder, "save": "", "appendonly": "no"}
        with (Path(folder) / "log").open("w") as log:
            serve = [program, *(part for name, value in options.items() for part in (f"--{name}", value))]
            running = subprocess.Popen(serve, cwd=folder, stdout=log, stderr=log)
        try:
            _wait_for_socket(place, running)
            yield f"redis+socket://{place}"
        finally:
            running.terminate()
            running.wait(timeout=START_S)


def _wait_for_socket(place: Path, running: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while True:
        with socket.socket(socket.AF_UNIX) as connection:
            if connection.connect_ex(str(place)) == 0:
                return
        if running.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("Redis did not start: " + (place.parent / "log").read_text())
        time.sleep(0.05)
