"""In continuous integration a skipped test is a failure, unless its mark allows it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"


@pytest.mark.parametrize(
    ("mark", "ci", "status", "workers"),
    [("slow", "1", 1, []), ("slow", "1", 1, ["-n", "1"]), ("gpu", "1", 0, []), ("slow", "0", 0, [])],
    ids=["strict", "strict, by workers", "allowed", "local"],
)
def test_skips(tmp_path, mark, ci, status, workers):
    """CURATOR_CI=1 turns a skip into a failure that names the test."""
    (tmp_path / "conftest.py").write_text(CONFTEST.read_text())
    (tmp_path / "test_it.py").write_text(
        f"import pytest\n@pytest.mark.{mark}\ndef test_one():\n    pytest.skip('not today')\ndef test_two(): pass\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  slow: x\n  gpu: x\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *workers, "."],
        cwd=tmp_path,
        env={**os.environ, "CURATOR_CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout
    assert ("CURATOR_CI=1 does not allow" in done.stdout) == bool(status)
    assert ("not today" in done.stdout) == bool(status)
