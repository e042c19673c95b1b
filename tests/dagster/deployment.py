"""Dagster as in production: code servers, a daemon and a webserver, each a process that can be killed on its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from dagster import DagsterInstance

WITHOUT_CURATOR = str(Path(__file__).with_name("without_curator.py"))
START_S = 90.0


def wait_for(claim, what, timeout_s=START_S):
    """What `claim` gives as soon as it gives something."""
    deadline = time.monotonic() + timeout_s
    while not (found := claim()):
        assert time.monotonic() < deadline, f"timed out waiting for {what() if callable(what) else what}"
        time.sleep(0.1)
    return found


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Deployment:
    """A folder with an instance in ``home``; all that it starts is gone at the end of a ``with`` block.

    Parameters
    ----------
    folder
        Where logs and the list of code locations go.
    home
        Folder of ``dagster.yaml``; webserver and daemon alone know it.
    python
        Python of all processes.
    """

    def __init__(self, folder, home, python=sys.executable):
        self.folder, self.home, self.python = Path(folder), Path(home), python
        self.running = {}
        self.commands = {}
        self.ports = {}
        self.sessions = []
        self.without_curator = True

    wait_for = staticmethod(wait_for)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for session in self.sessions:
            self._kill_all_of(session)
        for process in self.running.values():
            process.wait()

    def log(self, name):
        return self.folder / f"{name}.log"

    def port(self, name):
        return self.ports.setdefault(name, free_port())

    def start(self, name, command, environment):
        """Any command, in the deployment's folder."""
        self._start(name, command, environment, self.folder)

    def await_port(self, name):
        """Wait until a process listens, if it is to."""
        if name in self.ports:
            wait_for(lambda: self._listens(name), lambda: self.log(name).read_text()[-3000:])

    def start_code(self, file, name="numbers", python=None, **environment):
        """A code server, in a folder and with an environment of its own: it does not know the instance."""
        own = {"PATH": os.environ["PATH"], "HOME": str(self.folder)} | environment
        words = ["dagster", "api", "grpc", "-f", str(file), "-p", str(self.port(name)), "-h", "127.0.0.1"]
        elsewhere = self.folder / f"{name}_cwd"
        elsewhere.mkdir(exist_ok=True)
        self._start(name, [python or self.python, "-m", *words], own, elsewhere)
        self._list_locations()
        self.await_port(name)

    def _list_locations(self):
        places = [
            {"grpc_server": {"host": "127.0.0.1", "port": port, "location_name": name}}
            for name, port in self.ports.items()
            if name != "webserver"
        ]
        (self.folder / "workspace.yaml").write_text(json.dumps({"load_from": places}))

    def start_daemon(self):
        self._start_own("daemon", "dagster._daemon", "run")

    def start_webserver(self):
        port = str(self.port("webserver"))
        self._start_own("webserver", "dagster_webserver", "-h", "127.0.0.1", "-p", port)
        self.await_port("webserver")

    def _start_own(self, name, module, *words):
        with DagsterInstance.from_config(str(self.home)):  # it is broken by several processes that make it at once
            pass
        program = [WITHOUT_CURATOR, module] if self.without_curator else ["-m", module]
        command = [self.python, *program, *words, "-w", str(self.folder / "workspace.yaml")]
        self._start(name, command, os.environ | {"DAGSTER_HOME": str(self.home)}, self.folder)

    def _start(self, name, command, environment, cwd):
        self.commands[name] = (command, environment, cwd)
        with self.log(name).open("ab") as log:
            self.running[name] = subprocess.Popen(
                command, env=environment, cwd=cwd, stdout=log, stderr=log, start_new_session=True
            )
        self.sessions.append(self.running[name].pid)

    @staticmethod
    def _kill_all_of(session):
        try:
            os.killpg(session, signal.SIGKILL)
        except ProcessLookupError:  # they ended
            return

    def kill(self, name, *, with_all=False):
        """SIGKILL to a process; `with_all` to everything that it started, too, as when a machine is switched off."""
        process = self.running.pop(name)
        if with_all:
            self._kill_all_of(process.pid)
        process.kill()
        process.wait()

    def restart(self, name, **environment):
        """Start again what ended, or end it before; with more in its environment, if told."""
        if name in self.running:
            self.kill(name)
        command, own, cwd = self.commands[name]
        self._start(name, command, own | environment, cwd)
        self.await_port(name)

    def _check_running(self):
        for name, process in self.running.items():
            assert process.poll() is None, f"{name} ended: {self.log(name).read_text()[-3000:]}"

    def _listens(self, name):
        assert self.running[name].poll() is None, self.log(name).read_text()[-3000:]
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.ports[name])) == 0

    def ask(self, text, **variables):
        """What the webserver answers to a query."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.ports['webserver']}/graphql",
            json.dumps({"query": text, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found = json.load(answer)
        assert "errors" not in found, found["errors"]
        return found["data"]

    def selector(self, location="numbers", **more):
        return {"repositoryLocationName": location, "repositoryName": "__repository__"} | more

    def launch(self, job, location="numbers", **parameters):
        """Launch a job as the launchpad does; gives the run's id."""
        given = {"mode": "default", "selector": self.selector(location, jobName=job)} | parameters
        found = self.ask(
            """mutation($given: ExecutionParams!) { launchRun(executionParams: $given) {
                ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } __typename } }""",
            given=given,
        )["launchRun"]
        assert found["__typename"] == "LaunchRunSuccess", found
        return found["run"]["runId"]

    def status(self, run_id):
        return self.ask("query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }", id=run_id)[
            "runOrError"
        ]["status"]

    def await_end(self, run_id, timeout_s=120.0):
        """Wait for a run's end; gives its status."""

        def ended():
            self._check_running()
            status = self.status(run_id)
            return status if status in {"SUCCESS", "FAILURE", "CANCELED"} else None

        return wait_for(ended, lambda: f"run {run_id}, which is {self.status(run_id)}", timeout_s)

    def await_backfill(self, backfill_id, timeout_s=120.0):
        """Wait for a backfill's end; gives its status."""
        query = """query($id: String!) { partitionBackfillOrError(backfillId: $id) {
            ... on PartitionBackfill { status error { message } } } }"""

        def ended():
            self._check_running()
            found = self.ask(query, id=backfill_id)["partitionBackfillOrError"]
            return found if found["status"] not in {"REQUESTED", "FAILING"} else None

        return wait_for(ended, f"backfill {backfill_id}", timeout_s)["status"]
