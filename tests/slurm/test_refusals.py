"""What the scheduler refuses is told in its words with what to change, and leaves nothing behind."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from curator_core import MetricsStore
from curator_core.cli import main
from curator_core.errors import ConfigError, CuratorError
from curator_core.slurm import SlurmAwayError, SlurmCluster, SlurmError
from curator_core.testing import FaultySource, FileSource, JsonSink, NumbersSource, invocations

pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.xdist_group("slurm")]

REFUSED = {
    "no such partition": (
        {"cluster": {"partition": "nowhere"}},
        "invalid partition.* Set `partition` of SlurmCluster to one that `sinfo` lists",
    ),
    "inactive partition": (
        {"cluster": {"partition": "closed"}},
        "partition not available.* Set `partition` of SlurmCluster to one that is up",
    ),
    "more memory than any node has": (
        {"resources": {"mem": "900G"}},
        "memory specification .* Lower `mem` of SlurmResources",
    ),
    "more CPUs than there are": (
        {"resources": {"cpus_per_task": 999}},
        "(?:cpu count|more processors|node configuration).* SlurmResources",
    ),
    "more nodes than there are": (
        {"resources": {"nodes": 99}},
        "(?:node count|more processors|node configuration).* SlurmResources",
    ),
    "longer than the partition allows": (
        {"cluster": {"partition": "short"}, "resources": {"time": "00:20:00"}},
        "time limit .* Lower `time` of SlurmResources",
    ),
    "no such generic resource": (
        {"resources": {"extra_sbatch": {"gres": "gpu:1"}}},
        r"invalid generic resource .* Set `gres` in `extra_sbatch`",
    ),
}


def is_clean(folder):
    """Whether no item is recorded and no array has files."""
    with MetricsStore(folder / "db" / "run.db") as store:
        return not store.items(store.latest_run().run_id) and not list((folder / "db").glob("*.slurm/*"))


@pytest.mark.parametrize(("settings", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(folder, run, settings, message):
    """Its own message first, then what to change."""
    settings = {"cluster": {}, "resources": {"mem": "100M"}} | settings
    settings["cluster"] = {"account": ""} | settings["cluster"]
    with pytest.raises(SlurmError, match=f"(?i){message}"):
        run(**settings)
    assert is_clean(folder)


def test_an_array_larger_than_the_cluster_allows(folder, run):
    """MaxArraySize is 1,001 in most clusters."""
    resources = {"mem": "100M", "max_array_size": 2000}
    with pytest.raises(SlurmError, match=r"Invalid job array.* Lower `max_array_size` .* below .* MaxArraySize"):
        run(source=NumbersSource(1002), resources=resources)
    assert is_clean(folder)


def test_limits_of_an_account(folder, run, accounted, accounting_daemons):
    """An account of others, more jobs than one may submit, more time than a QOS allows."""

    def modify(*settings):
        user = ("modify", "user", "root", "where", "account=lab", "set")
        subprocess.run(["sacctmgr", "--immediate", *user, *settings], check=True, capture_output=True)

    with pytest.raises(SlurmError, match=r"Invalid account .* Set `account` of SlurmCluster to one of yours"):
        run(cluster=SlurmCluster(account="others", runner=accounted.runner))
    modify("MaxSubmitJobs=3")
    with pytest.raises(SlurmError, match=r"AssocMaxSubmitJobLimit .* Wait until some of your jobs are done, or lower"):
        run(cluster=accounted)
    modify("MaxSubmitJobs=-1")
    accounting_daemons.ask("sacctmgr", "--immediate", "add", "qos", "tiny", "MaxSubmitJobsPerUser=2")
    accounting_daemons.ask("sacctmgr", "--immediate", "modify", "qos", "tiny", "set", "Flags=DenyOnLimit")
    modify("qos+=tiny")
    limited = {"mem": "100M", "extra_sbatch": {"qos": "tiny"}}
    with pytest.raises(SlurmError, match=r"QOSMaxSubmitJobPerUserLimit .* Wait until some of your jobs are done"):
        run(cluster=accounted, resources=limited)
    accounting_daemons.ask("sacctmgr", "--immediate", "modify", "qos", "tiny", "set", "MaxWall=1")
    with pytest.raises(SlurmError, match=r"QOSMaxWall\w+ .* Lower `time` of SlurmResources"):
        run(cluster=accounted, resources=limited | {"max_array_size": 1})
    assert is_clean(folder)


@pytest.mark.campaign
def test_a_scheduler_that_does_not_answer(folder, run, slurm_daemons):
    """The run says so at once; the same run later does everything."""
    slurm_daemons.kill("slurmctld", signal.SIGTERM)  # in order: one killed at once may forget its node
    try:
        with pytest.raises(SlurmAwayError, match=r"Unable to contact slurm controller .* does not answer"):
            run()
    finally:
        slurm_daemons.begin_controller()
        slurm_daemons.wait_until_idle()
    assert len(run()) == 12
    assert set(invocations(folder / "log").values()) == {1}
    assert not list((folder / "db").glob("*.slurm/*"))


@pytest.mark.usefixtures("slurm")
def test_the_command_line_tells_it_too(folder, capsys):
    """In one line, with the exit status of wrong surroundings: the default memory is more than the node has."""
    source = FaultySource(FileSource("in", by_content=True), "log")
    source.write(JsonSink("out")).with_settings(db_file="db/run.db", resume=True).save("p.yaml")
    assert main(["run", "p.yaml", "--backend", "slurm"]) == 2
    assert "Memory specification" in (told := capsys.readouterr().err.strip().splitlines()[-1])
    assert told.startswith("error: ")
    assert "Lower `mem` of SlurmResources" in told
    assert is_clean(folder)


def test_a_folder_that_logs_cannot_have(tmp_path, monkeypatch, run):
    """With a backslash in a name SLURM no longer puts the task's number into it."""
    folder = tmp_path / "a\\b"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError, match=r"sbatch cannot write logs to .* put the metrics database .* in a folder"):
        run(source=NumbersSource(1))


def test_no_slurm_here(folder, run, monkeypatch):
    """A machine without the commands."""
    with monkeypatch.context() as patched:
        patched.setenv("PATH", str(Path(sys.executable).parent))
        with pytest.raises(CuratorError, match="There is no 'sbatch' here"):
            run()
    assert is_clean(folder)
