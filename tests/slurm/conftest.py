"""A real SLURM on this machine: controller, node daemon and authentication, all in a folder of their own."""

import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curator_core import run_pipeline
from curator_core.slurm import SlurmCluster, SlurmResources
from curator_core.testing import FaultySource, FileSource, JsonSink

CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,bf_interval=1
KillWait=1
MessageTimeout=2
MaxArraySize=1001
EnforcePartLimits=ALL
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=2000 State=UNKNOWN
PartitionName=batch Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes=ALL MaxTime=10 State=UP
PartitionName=broken Nodes=ALL MaxTime=INFINITE State=DOWN
PartitionName=closed Nodes=ALL MaxTime=INFINITE State=INACTIVE
"""
WITHOUT_ACCOUNTING = """
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
"""
WITH_ACCOUNTING = """
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge.socket
AccountingStorageEnforce=associations,limits
"""
DATABASE_DAEMON = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm
PidFile={folder}/slurmdbd.pid
"""


def free_ports(n):
    with_port = [socket.socket() for _ in range(n)]
    try:
        for found in with_port:
            found.bind(("127.0.0.1", 0))
        return [found.getsockname()[1] for found in with_port]
    finally:
        for found in with_port:
            found.close()


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(claim, log, timeout_s=30.0):
    deadline = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


class Daemons:
    """A cluster of one node, this machine; in a ``with`` block."""

    def __init__(self):
        self.folder = Path("/tmp") / f"slurm-{secrets.token_hex(4)}"
        for name in ("", "state", "spool"):
            (self.folder / name).mkdir(mode=0o755)
        self.configuration = self.folder / "slurm.conf"
        self.log = self.folder / "log"
        self.host = socket.gethostname().partition(".")[0]
        self._running = {}

    def begin(self, name, *command, **variables):
        """Start one of them."""
        with self.log.open("a") as log:
            self._running[name] = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env=os.environ | variables
            )

    def kill(self, name, number=signal.SIGKILL):
        """End one of them: as a crash would, or with another signal."""
        self._running[name].send_signal(number)
        self._running.pop(name).wait(timeout=30)

    def start(self, *, accounting=False):
        """Start them all, and wait until jobs can run."""
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        files = [f"--{name}={self.folder}/munge.{name.partition('-')[0]}" for name in ("pid-file", "log-file")]
        files += [f"--seed-file={self.folder}/munge.seed", f"--socket={self.folder}/munge.socket"]
        self.begin("munged", "munged", "--foreground", "--force", f"--key-file={key}", *files)
        wait_until((self.folder / "munge.socket").exists, self.log)
        text = CONFIGURATION + (self._start_accounting() if accounting else WITHOUT_ACCOUNTING)
        ports = free_ports(2)
        self.configuration.write_text(text.format(folder=self.folder, host=self.host, ports=ports, cpus=os.cpu_count()))
        self.begin_controller()
        self.begin("slurmd", "slurmd", "-D", "-f", str(self.configuration))
        self.wait_until_idle()

    def begin_controller(self):
        """Start the scheduler, the first time or again."""
        self.begin("slurmctld", "slurmctld", "-D", "-f", str(self.configuration))

    def wait_until_idle(self):
        """Until the node is known to be there, with nothing to do."""
        wait_until(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%T"), self.log)

    def _start_accounting(self):
        """MariaDB and slurmdbd; what the configuration has about them."""
        data, sock = self.folder / "data", self.folder / "db.socket"
        options = ["--no-defaults", "--user=root", f"--datadir={data}"]
        install = ["mariadb-install-db", *options, "--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(install, check=True, capture_output=True)
        self.begin("mariadbd", "mariadbd", *options, f"--socket={sock}", "--skip-networking")
        wait_until(sock.exists, self.log)
        (port,) = free_ports(1)
        configuration = self.folder / "slurmdbd.conf"
        configuration.write_text(DATABASE_DAEMON.format(folder=self.folder, host=self.host, port=port))
        configuration.chmod(0o600)
        self.begin("slurmdbd", "slurmdbd", "-D", SLURM_CONF=str(configuration), MYSQL_UNIX_PORT=str(sock))
        wait_until(lambda: is_listening(port), self.log)
        return WITH_ACCOUNTING.replace("{port}", str(port))

    def ask(self, *command):
        """What one of SLURM's commands says."""
        environment = os.environ | {"SLURM_CONF": str(self.configuration)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ask("scancel", "--me")
        for process in reversed(self._running.values()):
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:  # slurmd waits for jobs that a killed controller had forgotten
                process.kill()
                process.wait(timeout=30)
        shutil.rmtree(self.folder)


def need(*programs):
    missing = [name for name in ("munged", "slurmctld", "slurmd", "sbatch", *programs) if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("not root: slurmd runs the jobs of others")


@pytest.fixture(scope="session")
def slurm_daemons():
    """A cluster without accounting, as the simplest ones are."""
    need()
    with Daemons() as daemons:
        daemons.start()
        yield daemons


@pytest.fixture(scope="session")
def accounting_daemons():
    """A cluster with accounting, that runs jobs of the account ``lab`` alone."""
    need("slurmdbd", "mariadbd", "mariadb-install-db")
    with Daemons() as daemons:
        daemons.start(accounting=True)
        daemons.ask("sacctmgr", "--immediate", "add", "account", "lab", "Cluster=tests")
        daemons.ask("sacctmgr", "--immediate", "add", "user", "root", "Account=lab", "Cluster=tests")
        yield daemons


@pytest.fixture
def slurm(slurm_daemons, monkeypatch):
    """The cluster as a user describes it; nothing of other tests is in its queue."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_daemons.configuration))
    yield SlurmCluster(account="", runner=f"'{sys.executable}'")
    subprocess.run(["scancel", "--me"], check=True, capture_output=True)


@pytest.fixture
def accounted(accounting_daemons, monkeypatch):
    """The cluster with accounting as a user describes it."""
    monkeypatch.setenv("SLURM_CONF", str(accounting_daemons.configuration))
    yield SlurmCluster(account="lab", runner=f"'{sys.executable}'")
    subprocess.run(["scancel", "--me"], check=True, capture_output=True)


@pytest.fixture
def resources():
    """Little enough for any machine."""
    return SlurmResources(time="00:05:00", mem="100M")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of twelve files, of which every part of the name means something to a shell or to SLURM."""
    folder = tmp_path / "it's $(touch oh no) %j"
    (folder / "in").mkdir(parents=True)
    monkeypatch.chdir(folder)
    for number in range(12):
        (folder / "in" / f"f{number:02d}.txt").write_text(f"{number} {number + 1}")
    return folder


@pytest.fixture
def run(slurm, resources):
    """Runs a pipeline on SLURM."""

    def run(faults=None, source=None, pause_s=0.0, **options):
        source = FaultySource(source or FileSource("in", by_content=True), "log", faults, pause_s)
        pipeline = source.write(JsonSink("out")).with_settings(db_file="db/run.db", resume=True)
        given = {"cluster": slurm, "resources": resources} | options
        return run_pipeline(pipeline, backend="slurm", progress=False, **given)

    return run


_SPEC = importlib.util.spec_from_file_location(
    "dagster_conftest", Path(__file__).parents[1] / "dagster" / "conftest.py"
)
dagster_conftest = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = dagster_conftest
_SPEC.loader.exec_module(dagster_conftest)
project = dagster_conftest.project  # for what runs in Dagster
