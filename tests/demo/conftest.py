"""The demo, run as a user runs it."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

CURATOR = str(Path(sys.executable).with_name("curator"))
FOLLOW_INPUT = ("items/fingerprint", "items/version", "segments/id")
"""Arrays that say where the input lies, and when it was written; attributes `content_hash` and `checksums` do, too."""


@dataclass
class Demo:
    """A folder in which ``curator demo`` is run, with few structures per file."""

    folder: Path

    @property
    def input(self):
        return self.folder / "demo" / "input"

    @property
    def output(self):
        return self.folder / "demo" / "output"

    @property
    def database(self):
        return self.folder / "demo" / "metrics.db"

    @property
    def command(self):
        return [CURATOR, "demo", "--variants", "2"]

    @property
    def environment(self):
        return {name: value for name, value in os.environ.items() if name not in ("DAGSTER_HOME", "CURATOR_DEMO_DIR")}

    def run(self):
        """Run it to its end; returns the completed process."""
        return subprocess.run(
            self.command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    def files(self):
        """Bytes of every published file by path."""
        published = [self.output / "molecules.zarr", self.output / "statistics.parquet"]
        found = {}
        for path in published:
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                name = str(file.relative_to(self.output))
                if file.is_file() and not any(f"/{array}/c/" in name for array in FOLLOW_INPUT):
                    found[name] = file.read_bytes()
        root = json.loads(found["molecules.zarr/zarr.json"])
        del root["attributes"]["content_hash"], root["attributes"]["checksums"]
        record = json.loads(found["molecules.zarr/croissant.json"])
        del record["sdVersion"], record["version"]
        for resource in record["distribution"]:
            resource.pop("sha256", None)  # of zarr.json and of arrays that follow the input
        return found | {
            "molecules.zarr/zarr.json": json.dumps(root).encode(),
            "molecules.zarr/croissant.json": json.dumps(record).encode(),
        }

    def completed_at(self):
        """When each completed item was completed, by the database and by the journals of a killed run."""
        from curator_core import MetricsStore
        from curator_core.records import IndexResult
        from curator_core.store import journal_directory

        found = {}
        with MetricsStore(self.database) as store:
            run = store.latest_run()
            if run is not None:
                found = {r.key: r.completed_at for r in store.results(run.run_id) if r.is_completed}
        for journal in journal_directory(self.database).glob("*.jsonl"):
            whole = [line for line in journal.read_text().splitlines(keepends=True) if line.endswith("\n")]
            results = [IndexResult.from_json(line) for line in whole]
            found |= {r.key: r.completed_at for r in results if r.is_completed}
        return found

    def copy(self, folder):
        """A demo of its own in the same state; its input files are links, so that their fingerprints stay."""
        shutil.copytree(self.folder / "demo", folder / "demo", ignore=shutil.ignore_patterns("input"))
        made = Demo(folder)
        shutil.copytree(self.input, made.input, copy_function=os.link)
        return made

    def from_scratch(self, folder):
        """A run over the same input that starts with nothing."""
        (folder / "demo").mkdir(parents=True)
        shutil.copytree(self.input, folder / "demo" / "input")
        made = Demo(folder)
        done = made.run()
        assert done.returncode == 0, done.stderr + done.stdout
        return made


@pytest.fixture(scope="session")
def finished_demo(tmp_path_factory):
    """A demo that was run once; do not change it."""
    demo = Demo(tmp_path_factory.mktemp("finished"))
    done = demo.run()
    assert done.returncode == 0, done.stderr + done.stdout
    (demo.folder / "stdout.txt").write_text(done.stdout)
    return demo


@pytest.fixture
def demo(finished_demo, tmp_path):
    """A copy of the finished demo, to be changed."""
    return finished_demo.copy(tmp_path)


@pytest.fixture
def demo_command(tmp_path):
    """Function that gives the run of a demo by a newcomer, in a folder of the test's, after it ended well."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("DAGSTER_HOME", "CURATOR_DEMO_DIR")
    }

    def run(*words):
        done = subprocess.run(
            [CURATOR, "demo", *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done

    return run


@pytest.fixture
def run_shown(tmp_path):
    """Function that runs the Python code that a demo proposes at its end."""

    def run(done):
        code = re.search(r'python -c "(.*)"', done.stdout).group(1)
        subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, capture_output=True)

    return run
