"""Shared by the tests of tables: f3dasm's interpreter, and processes that are killed at a chosen moment."""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

F3DASM_SIDE = Path(__file__).parent / "parts" / "f3dasm_side.py"


@pytest.fixture(scope="session")
def f3dasm():
    """Function that does something with the published f3dasm in a process of its own.

    It may live in another environment than curator, since its parser runtime (antlr4 4.9) is not Dagster's (4.13).
    """
    python = os.environ.get("CURATOR_F3DASM_PYTHON")
    if python is None and importlib.util.find_spec("f3dasm") is not None:
        python = sys.executable
    if python is None:
        pytest.skip("needs f3dasm 2.4; name its interpreter in CURATOR_F3DASM_PYTHON")

    def call(action, folder):
        done = subprocess.run(
            [python, F3DASM_SIDE, action, folder], capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return call


@pytest.fixture
def killed_at_every_step(monkeypatch):
    """Function that gives, for each step of an action on files, the folder as a kill -9 before that step left it."""

    def outcomes(prepare, action):
        for step in itertools.count():
            folder = prepare(step)
            if _dies(action, folder, step):
                yield folder
            else:
                assert step > 2
                return

    return outcomes


def _dies(action, folder, step):
    child = os.fork()
    if child == 0:
        left = [step]

        def counted(real):
            def call(*args, **kwargs):
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
                return real(*args, **kwargs)

            return call

        for name in ("replace", "unlink", "mkdir", "write_bytes"):
            setattr(Path, name, counted(getattr(Path, name)))
        try:
            action(folder)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])
