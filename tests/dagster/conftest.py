"""A real Dagster instance on disk with a code location of its own, driven by Dagster's command line."""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

LOCATION = Path(__file__).with_name("numbers_location.py")


@dataclass
class Project:
    """A folder with input files, a persistent instance, and the numbers' code location."""

    folder: Path
    location: Path = LOCATION

    @property
    def home(self):
        return self.folder / "home"

    @property
    def input(self):
        return self.folder / "input"

    @property
    def environment(self):
        return os.environ | {"DAGSTER_HOME": str(self.home), "NUMBERS_FOLDER": str(self.folder)}

    def put(self, **texts):
        for name, text in texts.items():
            (self.input / f"{name}.txt").write_text(text)

    def refresh_command(self):
        return [sys.executable, "-m", "dagster", "job", "execute", "-f", str(LOCATION), "-j", "numbers_refresh"]

    def refresh(self, executor="in_process", **environment):
        """Run the refresh job to its end; returns the completed process."""
        environment["NUMBERS_EXECUTOR"] = executor  # in one process it takes half the time
        return subprocess.run(
            self.refresh_command(),
            env=self.environment | environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def invocations(self):
        path = self.folder / "invocations.txt"
        return Counter(path.read_text().split()) if path.exists() else Counter()

    def dataset(self):
        path = self.folder / "output" / "numbers.json"
        return {e["key"]: e["numbers"] for e in json.loads(path.read_text())} if path.exists() else None

    def outputs(self):
        """Bytes of the published outputs."""
        return {name: (self.folder / "output" / name).read_bytes() for name in ("numbers.json", "sum.json")}

    def instance(self):
        from dagster import DagsterInstance

        return DagsterInstance.from_config(str(self.home))


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path)
    made.input.mkdir()
    made.home.mkdir()
    (made.home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    made.put(a="1 2", b="3", c="4 5 6", d="7")
    return made
