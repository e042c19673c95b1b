"""Time to import, best of several fresh interpreters."""

from __future__ import annotations

import subprocess
import sys
import time

REPEATS = 7


def import_seconds() -> dict[str, float]:
    """Seconds over those of an interpreter that imports nothing."""
    bare = _best("pass")
    wanted = ("curator_core", "curator_core.run", "curator_core.cli")
    return {module: _best(f"import {module}") - bare for module in wanted}


def _best(code: str) -> float:
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        times.append(time.perf_counter() - started)
    return min(times)
