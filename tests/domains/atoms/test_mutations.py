"""Databases damaged at random: each item fails by name, or is read as ASE reads it; the others are completed."""

import subprocess
import sys
from pathlib import Path

import pytest

PROCESS = Path(__file__).with_name("mutations.py")


@pytest.mark.parametrize(
    ("seed", "n_times"),
    [
        (7, 5),
        pytest.param(1, 1000, marks=[pytest.mark.campaign, pytest.mark.timeout(900)]),
        pytest.param(2, 1000, marks=[pytest.mark.campaign, pytest.mark.timeout(900)]),
    ],
)
def test_damaged_at_random(tmp_path, seed, n_times):
    """Within bounded memory: neither a signal nor an error that names no place, and nothing left out in silence."""
    command = [sys.executable, PROCESS, tmp_path, str(seed), str(n_times)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    *wrong, peak = done.stdout.splitlines()
    assert wrong == []
    assert int(peak.split()[1]) < 1500  # MiB
