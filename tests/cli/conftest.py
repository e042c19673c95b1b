"""A folder with pipeline files, and two ways to call `curator` in it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

PARTS = Path(__file__).parent / "parts"
EXECUTABLE = Path(sys.executable).with_name("curator")


@dataclass(frozen=True)
class Result:
    """How a command line ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a cache of its own, where `cli_parts` can be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CURATOR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(PARTS), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))
    monkeypatch.setattr(sys, "path", [str(PARTS), *sys.path])
    return tmp_path


@pytest.fixture
def write_pipeline(folder):
    """Write a pipeline file; returns its name."""

    def write(n=5, *, name="p.yaml", merged=False, settings=None, source="Numbers", **params):
        parts: dict[str, Any] = {
            "source": {"component": f"cli_parts:{source}", "params": {"n": n, **params}},
            "sink": {"component": "cli_parts:Files", "params": {"folder": "out"}},
        }
        if merged:
            parts["filters"] = [{"component": "cli_parts:Total", "params": {"path": "out/total.txt"}}]
        if settings is not None:
            parts["settings"] = settings
        (folder / name).write_text(yaml.safe_dump(parts))
        return name

    return write


@pytest.fixture
def curator(folder, capsys):
    """Run a command line in this process."""
    from curator_core.cli import main

    def run(*words):
        capsys.readouterr()
        code = main(words)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def executable(folder):
    """Run the installed `curator`."""

    def run(*words, **variables):
        done = subprocess.run(
            [EXECUTABLE, *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **variables},
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return run
