"""A machine that was just set up: what CI runs its first tests on, and what `make test-all` says there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
BARE = ROOT / ".ci" / "bare"


def test_a_bare_machine_has_no_program_that_only_some_tests_need(tmp_path):
    """A browser that stands in PATH is not found, what every test needs is; the home is another one, and empty."""
    for name in ("chromium", "sbatch", "anything"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    look = "command -v chromium sbatch; command -v anything && command -v make && ls -A $HOME && echo at $HOME"
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([BARE, "bash", "-c", look], env=environment, capture_output=True, text=True, check=True)
    anything, make, home = done.stdout.splitlines()
    assert [Path(anything).name, Path(make).name] == ["anything", "make"]
    assert home.startswith("at ")
    assert home != f"at {Path.home()}"
    assert not Path(home[3:]).exists()


def test_all_tests_are_refused_where_programs_are_missing():
    """`make test-all` names the packages on one line, and installs nothing."""
    command = [BARE, "make", "-o", ".venv/.installed", "-o", ".venv-f3dasm/.installed", "test-all"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if "apt-get install" in line]
    assert {"chromium", "postgresql", "shellcheck"} <= set(line.split())
