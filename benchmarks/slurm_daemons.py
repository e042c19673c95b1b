"""A real SLURM on this machine: controller, node, authentication and accounting, all in a folder of their own."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

START_S = 30.0
"""Longest time that a daemon may take to start, seconds."""
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


def _free_ports(n: int) -> list[int]:
    with_port = [socket.socket() for _ in range(n)]
    try:
        for found in with_port:
            found.bind(("127.0.0.1", 0))
        return [found.getsockname()[1] for found in with_port]
    finally:
        for found in with_port:
            found.close()


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wait_until(claim: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while not claim():
        if time.monotonic() > deadline:
            raise TimeoutError(log.read_text())
        time.sleep(0.05)


class SlurmDaemons:
    """A cluster of one node, this machine; in a ``with`` block."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # a short name: sockets are in it
        self.folder.chmod(0o755)
        for name in ("state", "spool"):
            (self.folder / name).mkdir(mode=0o755)
        self.configuration = self.folder / "slurm.conf"
        self.log = self.folder / "log"
        self.host = socket.gethostname().partition(".")[0]
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def begin(self, name: str, *command: str, **variables: str) -> None:
        """Start one of them."""
        with self.log.open("a") as log:
            self._running[name] = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env=os.environ | variables
            )

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """End one of them: as a crash would, or with another signal."""
        self._running[name].send_signal(number)
        self._running.pop(name).wait(timeout=30)

    def start(self, *, accounting: bool = False) -> None:
        """Start them all, and wait until jobs can run."""
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        files = [f"--{name}={self.folder}/munge.{name.partition('-')[0]}" for name in ("pid-file", "log-file")]
        files += [f"--seed-file={self.folder}/munge.seed", f"--socket={self.folder}/munge.socket"]
        self.begin("munged", "munged", "--foreground", "--force", f"--key-file={key}", *files)
        _wait_until((self.folder / "munge.socket").exists, self.log)
        text = CONFIGURATION + (self._start_accounting() if accounting else WITHOUT_ACCOUNTING)
        ports = _free_ports(2)
        self.configuration.write_text(text.format(folder=self.folder, host=self.host, ports=ports, cpus=os.cpu_count()))
        self.begin_controller()
        self.begin("slurmd", "slurmd", "-D", "-f", str(self.configuration))
        self.wait_until_idle()

    def begin_controller(self) -> None:
        """Start the scheduler, the first time or again."""
        self.begin("slurmctld", "slurmctld", "-D", "-f", str(self.configuration))

    def wait_until_idle(self) -> None:
        """Until the node is known to be there, with nothing to do."""
        _wait_until(lambda: "idle" in self.ask("sinfo", "--noheader", "--format=%T"), self.log)

    def _start_accounting(self) -> str:
        """MariaDB and slurmdbd; what the configuration has about them."""
        data, sock = self.folder / "data", self.folder / "db.socket"
        options = ["--no-defaults", "--user=root", f"--datadir={data}"]
        install = ["mariadb-install-db", *options, "--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(install, check=True, capture_output=True)
        self.begin("mariadbd", "mariadbd", *options, f"--socket={sock}", "--skip-networking")
        _wait_until(sock.exists, self.log)
        (port,) = _free_ports(1)
        configuration = self.folder / "slurmdbd.conf"
        configuration.write_text(DATABASE_DAEMON.format(folder=self.folder, host=self.host, port=port))
        configuration.chmod(0o600)
        self.begin("slurmdbd", "slurmdbd", "-D", SLURM_CONF=str(configuration), MYSQL_UNIX_PORT=str(sock))
        _wait_until(lambda: _is_listening(port), self.log)
        return WITH_ACCOUNTING.replace("{port}", str(port))

    def ask(self, *command: str) -> str:
        """What one of SLURM's commands says."""
        environment = os.environ | {"SLURM_CONF": str(self.configuration)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ask("scancel", "--me")
        for process in reversed(self._running.values()):
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:  # slurmd waits for jobs that a killed controller had forgotten
                process.kill()
                process.wait(timeout=30)
        shutil.rmtree(self.folder)
