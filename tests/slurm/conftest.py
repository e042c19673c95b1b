"""A real SLURM on this machine: controller, node daemon and authentication, all in a folder of their own."""

import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curator_core.slurm import SlurmCluster, SlurmResources

CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
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
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,bf_interval=1
KillWait=1
MaxArraySize=1001
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=2000 State=UNKNOWN
PartitionName=batch Nodes=ALL Default=YES MaxTime=INFINITE State=UP
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


@pytest.fixture(scope="session")
def slurm_daemons(tmp_path_factory):
    """Path of the configuration of a cluster of one node, this machine."""
    missing = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("not root: slurmd runs the jobs of others")
    folder = Path("/tmp") / f"slurm-{secrets.token_hex(4)}"
    for path in (folder, folder / "state", folder / "spool"):
        path.mkdir(mode=0o755)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    configuration = folder / "slurm.conf"
    host = socket.gethostname().partition(".")[0]
    configuration.write_text(
        CONFIGURATION.format(folder=folder, host=host, user="root", ports=free_ports(2), cpus=os.cpu_count())
    )
    munge = [f"--{name}={folder}/munge.{name.partition('-')[0]}" for name in ("pid-file", "log-file", "seed-file")]
    daemons = [
        ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", f"--key-file={key}", *munge],
        ["slurmctld", "-D", "-f", str(configuration)],
        ["slurmd", "-D", "-f", str(configuration)],
    ]
    running = []
    with (folder / "log").open("w") as log:
        for command in daemons:
            running.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))
            wait_until((folder / "munge.socket").exists, folder / "log")
    environment = os.environ | {"SLURM_CONF": str(configuration)}

    def is_idle():
        command = ["sinfo", "--noheader", "--format=%T"]
        return "idle" in subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout

    try:
        wait_until(is_idle, folder / "log")
        yield configuration
    finally:
        subprocess.run(["scancel", "--me"], env=environment, check=False, capture_output=True)
        for process in reversed(running):
            process.terminate()
            process.wait(timeout=30)
        shutil.rmtree(folder)


def wait_until(claim, log, timeout_s=30.0):
    deadline = time.monotonic() + timeout_s
    while not claim():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@pytest.fixture
def slurm(slurm_daemons, monkeypatch):
    """The cluster as a user describes it; nothing of other tests is in its queue."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_daemons))
    yield SlurmCluster(account="", runner=f"'{sys.executable}'")
    subprocess.run(["scancel", "--me"], check=True, capture_output=True)


@pytest.fixture
def resources():
    """Little enough for any machine."""
    return SlurmResources(time="00:05:00", mem="100M")


_SPEC = importlib.util.spec_from_file_location(
    "dagster_conftest", Path(__file__).parents[1] / "dagster" / "conftest.py"
)
dagster_conftest = importlib.util.module_from_spec(_SPEC)
sys.modules[_SPEC.name] = dagster_conftest
_SPEC.loader.exec_module(dagster_conftest)
project = dagster_conftest.project  # for what runs in Dagster
