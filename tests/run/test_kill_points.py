"""A kill at every single file-system event of a run and of a gather."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LONG = [pytest.param(scenario, 1, marks=pytest.mark.campaign) for scenario in ("gather", "run", "compaction")]


@pytest.mark.parametrize(("scenario", "step"), [("gather", 7), *LONG])
def test_killed_at_every_event(tmp_path, scenario, step):
    """Old or new output after any kill, and the right one after repeating the operation; every `step`th in a sample."""
    script = Path(__file__).with_name("kill_points.py")
    done = subprocess.run(
        [sys.executable, str(script), scenario, str(step)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) > 50
