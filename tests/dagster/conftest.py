"""A real Dagster instance on disk with a code location of its own, driven by Dagster's command line."""

import importlib.util
import json
import os
import subprocess
import sys
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

LOCATION = Path(__file__).with_name("numbers_location.py")
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def loaded(path):
    """A code location, imported anew: it reads its settings from the environment."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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

    def load(self, monkeypatch, **environment):
        """The code location, imported into this process with these settings in its environment."""
        for name, value in (self.environment | environment).items():
            monkeypatch.setenv(name, str(value))
        return loaded(self.location)

    def refresh_command(self):
        return [sys.executable, "-m", "dagster", "job", "execute", "-f", str(LOCATION), "-j", "numbers_refresh"]

    def refresh(self, executor="in_process", **environment):
        """Run the refresh job to its end, in this process if the work is in one; returns status and errors."""
        environment["NUMBERS_EXECUTOR"] = executor
        if executor == "in_process":
            return self._refreshed_here(environment)
        return subprocess.run(
            self.refresh_command(),
            env=self.environment | environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def _refreshed_here(self, environment):
        """A process of its own takes three seconds to import Dagster."""
        with pytest.MonkeyPatch.context() as patched:
            job = self.load(patched, **environment).defs.resolve_job_def("numbers_refresh")
            with self.instance() as instance:
                result = job.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET)
        failures = [e.step_failure_data.error_display_string for e in result.all_events if e.is_step_failure]
        return subprocess.CompletedProcess([], 0 if result.success else 1, "", "\n".join(failures))

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


@pytest.fixture(scope="session", autouse=True)
def _migrations_are_read_once():
    """Dagster imports the scripts of all its migrations for each database that it makes: one a run, and more."""
    from alembic.script import ScriptDirectory

    read, known = ScriptDirectory.from_config, {}

    def from_config(config):
        place = config.get_main_option("script_location")
        return known.get(place) or known.setdefault(place, read(config))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ScriptDirectory, "from_config", from_config)
        yield


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path)
    made.input.mkdir()
    made.home.mkdir()
    (made.home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    made.put(a="1 2", b="3", c="4 5 6", d="7")
    return made


class Watched:
    """The numbers' curation in this process, with any settings, on an instance in memory, which is quick."""

    def __init__(self, project, instance, pipeline):
        self.project = project
        self.instance = instance
        self.pipeline = pipeline
        self.settings = {}

    @property
    def defs(self):
        from dagster import in_process_executor

        from curator_dagster import build_curation_defs

        return build_curation_defs(
            "numbers", self.pipeline, executor=in_process_executor, batch_size=100, **self.settings
        )

    def refresh(self):
        job = self.defs.resolve_job_def("numbers_refresh")
        return job.execute_in_process(instance=self.instance, raise_on_error=False, run_config=QUIET).success

    def run_samples(self, first, last=None):
        from dagster import AssetKey

        job = self.defs.resolve_implicit_global_asset_job_def()
        tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last or first}
        return job.execute_in_process(
            instance=self.instance,
            asset_selection=[AssetKey(["numbers", "samples"])],
            tags=tags,
            raise_on_error=False,
            run_config=QUIET,
        ).success


@pytest.fixture
def watched(project, monkeypatch):
    from dagster import DagsterInstance

    monkeypatch.setenv("NUMBERS_FOLDER", str(project.folder))
    with DagsterInstance.ephemeral() as instance:
        yield Watched(project, instance, loaded(LOCATION).numbers_pipeline)


@pytest.fixture(scope="session")
def postgres():
    """URL of a PostgreSQL server; tests that use it share one xdist group."""
    from benchmarks.servers import postgres_programs, postgres_server

    try:
        postgres_programs()
    except FileNotFoundError as exc:
        pytest.skip(str(exc))
    with postgres_server(is_durable=False) as url:
        yield url


@pytest.fixture
def new_database(postgres):
    """Makes an empty database on the server, and gives its URL."""
    import psycopg2

    def make():
        connection = psycopg2.connect(postgres.replace("+psycopg2", ""))
        connection.autocommit = True  # a database cannot be made in a transaction
        name = f"dagster_{uuid.uuid4().hex}"
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        connection.close()
        return postgres.replace("/postgres?", f"/{name}?")

    return make


@pytest.fixture
def deployment(project):
    """The project's processes as in production; nothing is started yet."""
    with loaded(LOCATION.with_name("deployment.py")).Deployment(project.folder, project.home) as found:
        yield found


@pytest.fixture(scope="session")
def redis():
    """URL of a Redis server."""
    from benchmarks.servers import redis_server

    try:
        with redis_server() as url:
            yield url
    except FileNotFoundError as exc:
        pytest.skip(str(exc))
