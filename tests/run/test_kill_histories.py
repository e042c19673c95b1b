"""Runs and gatherings of two configurations, killed at any step: nothing wrong ever counts as right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

N_SEEDS = 40
"""Histories of one test of the campaign: about 80 kills."""


@pytest.mark.parametrize(
    ("first", "n_seeds", "n_killed"),
    [(3, 4, 3), *(pytest.param(n * 1000, N_SEEDS, N_SEEDS, marks=pytest.mark.campaign) for n in range(1, 6))],
)
def test_histories_with_kills(tmp_path, first, n_seeds, n_killed):
    """What is up to date is right after every kill, and the end is that of a run that nothing disturbed."""
    script = Path(__file__).with_name("kill_histories.py")
    done = subprocess.run(
        [sys.executable, str(script), str(first), str(n_seeds)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-5000:]
    assert int(done.stdout) >= n_killed
