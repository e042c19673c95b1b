"""How everything here is timed."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

Work = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    measure: str
    """What was measured."""
    value: str
    """The result, with its unit."""
    target: str = ""
    """What was asked for."""
    is_met: bool | None = None
    """Whether the result is as good, where there is a target."""


def seconds(work: Work) -> float:
    """Time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def rounds(works: Mapping[str, Work], n_rounds: int) -> dict[str, list[float]]:
    """Times of each, round by round; they take turns, so that a busy moment of the machine hits all of them."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(n_rounds):
        for name, work in works.items():
            taken[name].append(seconds(work))
    return taken


def best_seconds(works: Mapping[str, Work], n_rounds: int) -> dict[str, float]:
    """Shortest time of each."""
    return {name: min(times) for name, times in rounds(works, n_rounds).items()}


def ratio_quartiles(times: list[float], others: list[float]) -> list[float]:
    """Quartiles over the rounds of one time over another: what they differ by when both are long and noisy."""
    return statistics.quantiles((a / b for a, b in zip(times, others, strict=True)), n=4)


SCRIPT = """
from benchmarks.timing import tell
from {module} import WORK

if __name__ == "__main__":
    tell(lambda: WORK[{what!r}]({folder!r}, {n}))
"""


def in_own_process(module: str, what: str, folder: str, n: int) -> tuple[float, float]:
    """Seconds, and peak memory in MB, of one entry of a module's ``WORK`` in a process of its own."""
    script = Path(folder) / "measured.py"  # a file: worker processes may have to import it
    script.write_text(SCRIPT.format(module=module, what=what, folder=folder, n=n), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    # From a small process, as from a terminal: the kernel counts what calls exec(2) to the peak of what it starts.
    command = ["sh", "-c", '"$0" "$1"; exit $?', sys.executable, str(script)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    taken, peak = json.loads(done.stdout.splitlines()[-1])
    return float(taken), float(peak)


def tell(work: Work) -> None:
    """Print the seconds that something takes, and the peak memory of this process in MB."""
    taken = seconds(work)
    print(json.dumps([taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
