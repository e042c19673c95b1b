"""Values of resources and clusters: every form that sbatch takes, nothing that it does not."""

import subprocess
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from curator_core.errors import ConfigError
from curator_core.slurm import SlurmCluster, SlurmResources

SIZES = {
    "400": "400",
    "400M": "400M",
    "400m": "400M",
    "400MB": "400M",
    "400mb": "400M",
    "1kB": "1K",
    "0": "0",
    "1T": "1T",
    "4GB": "4G",
    "4g": "4G",
    " 4G ": "4G",
    "0400": "0400",
}
NO_SIZES = [
    "",
    "4 G",
    "1.5G",
    "4GiB",
    "400B",
    "4P",
    "1e3",
    "lots",
    "-4",
    "+4",
    "4G\n",
    "٤G",
    "4G\n#SBATCH --x",
    "4G;ls",
]
TIMES = ["1", "90", "0:30", "1:0:0", "01:00:00", "100:0:0", "1:70:00", "2-0", "2-0:0", "2-0:0:0", "1-30:90:99", "0"]
NO_TIMES = ["", "1h", "10m", "1.5", "1:", "1:2:3:4", "soon", "-1", "1:0:0\n", "1:0:0\n#SBATCH --x", "٣", "1d"]


def test_sizes_of_memory():
    """In small letters, with a B, as numbers; two ways to write one size are the same resources."""
    assert {given: SlurmResources(mem=given).mem for given in SIZES} == SIZES
    assert SlurmResources(mem=4000).mem == SlurmResources(mem=np.int64(4000)).mem == "4000"
    assert SlurmResources(mem="4gb") == SlurmResources(mem="4G") == SlurmResources()
    assert SlurmResources.from_yaml({"mem": 4096}).mem == "4096"


@pytest.mark.parametrize("given", [*NO_SIZES, -4, True, 4.0, None, b"4G", ["4G"]])
@pytest.mark.parametrize("name", ["mem", "mem_per_cpu"])
def test_what_is_no_size_of_memory(name, given):
    """Told with what to write; only one of the two may be left out."""
    if name == "mem_per_cpu" and given is None:
        return
    with pytest.raises(ConfigError, match=f"{name}=.* is nothing that sbatch takes: write"):
        SlurmResources(**{name: given})


def test_time_limits():
    """Also without zeros, in days, as minutes and without an end."""
    assert [SlurmResources(time=given).time for given in TIMES] == TIMES
    assert SlurmResources(time=90).time == "90"
    for given in ("UNLIMITED", "infinite", "Unlimited"):
        assert SlurmResources(time=given).time == given
    assert SlurmResources.from_yaml({"time": "1:0:0"}).time == "1:0:0"


@pytest.mark.parametrize("given", [*NO_TIMES, -1, True, 1.0, None])
def test_what_is_no_time_limit(given):
    """Told with what to write."""
    with pytest.raises(ConfigError, match=r"time=.* is nothing that sbatch takes: write minutes"):
        SlurmResources(time=given)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (timedelta(minutes=90), "01:30:00"),
        (timedelta(days=2, seconds=1), "2-00:00:01"),
        (timedelta(hours=23, minutes=59, seconds=59.5), "1-00:00:00"),
        (timedelta(milliseconds=1), "00:00:01"),
    ],
)
def test_a_time_limit_as_python_has_it(given, text):
    """A timedelta, whose part of a second is not lost; also where a step asks for another limit."""
    assert SlurmResources(time=given).time == text
    assert SlurmResources(extra_sbatch={"time": given}).options()["time"] == text
    for none in (timedelta(0), timedelta(minutes=-1)):
        with pytest.raises(ConfigError, match="or give a timedelta"):
            SlurmResources(time=none)


def test_numbers_of_numpy_lists_and_paths():
    """What is worked out or read from a file is taken as what it says."""
    options = {"nice": np.int64(5), "mail-type": ["BEGIN", "END"], "chdir": Path("/data"), "exclusive": np.bool_(True)}
    with pytest.raises(ConfigError, match="exclusive"):
        SlurmResources(extra_sbatch=options)
    options["exclusive"] = True
    found = SlurmResources(cpus_per_task=np.int64(4), nodes=np.uint8(2), extra_sbatch=options)
    assert type(found.cpus_per_task) is int
    assert list(found.options().values())[-4:] == [5, "BEGIN,END", "/data", True]
    cluster = SlurmCluster(partition="", account="", log_dir=Path("logs"), runner=Path("/a b/python"))
    assert (cluster.options(), cluster.log_dir, cluster.runner) == ({}, "logs", "'/a b/python'")
    assert SlurmCluster(env_vars={"DATA": Path("/data")}).env_vars == {"DATA": "/data"}
    for wrong in ([], [1.5], [["a"]], {"a": 1}, None, 1.5):
        with pytest.raises(ConfigError, match="mail-type"):
            SlurmResources(extra_sbatch={"mail-type": wrong})


@pytest.mark.parametrize("given", [60, 36000, 1.0, True])
def test_a_time_that_a_file_has_without_quotes_is_refused(given):
    """YAML takes 10:00:00 for the number 36000, which nobody can tell from minutes."""
    with pytest.raises(ConfigError, match="in a file, put it in quotes"):
        SlurmResources.from_yaml({"time": given})


def options(cluster=None, **resources):
    found = SlurmResources(**resources).options(most_per_cpu=cluster)
    return {name: found[name] for name in ("mem", "mem-per-cpu", "cpus-per-task", "nodes", "ntasks") if name in found}


def test_tasks_and_memory_per_cpu():
    """One of the two kinds of memory; nodes only where they say something."""
    assert options() == {"mem": "4G", "cpus-per-task": 1, "nodes": 1, "ntasks": 1}
    assert options(nodes=3) == {"mem": "4G", "cpus-per-task": 1, "nodes": 3, "ntasks": 3}
    assert options(nodes=2, ntasks=8)["ntasks"] == 8
    assert options(mem_per_cpu="1gb") == {"mem-per-cpu": "1G", "cpus-per-task": 1, "ntasks": 1}
    assert options(mem_per_cpu=100, nodes=2)["nodes"] == 2
    assert "mem" not in options(extra_sbatch={"mem-per-gpu": "8G"})


def test_a_cluster_that_counts_memory_per_cpu():
    """As f3dasm 2.4: memory is divided by CPUs, and there are as many as it needs; what is given per CPU is kept."""
    assert options("3968M", mem="8G") == {"mem-per-cpu": "2731M", "cpus-per-task": 3, "ntasks": 1}
    assert options("3968M", mem="1000", cpus_per_task=4) == {"mem-per-cpu": "250M", "cpus-per-task": 4, "ntasks": 1}
    assert options("3968M", mem_per_cpu="9G") == {"mem-per-cpu": "9G", "cpus-per-task": 1, "ntasks": 1}
    assert options("3968M", mem=0)["mem-per-cpu"] == "3968M"
    assert SlurmCluster(mem_per_cpu="3968m").mem_per_cpu == "3968M"


@pytest.mark.parametrize(
    "name", ["cpus_per_task", "nodes", "ntasks", "max_array_size", "max_concurrent", "max_jobs_per_task"]
)
@pytest.mark.parametrize("given", [0, -1, 1.5, "2", True])
def test_counts_are_positive_numbers(name, given):
    """Each by its name."""
    with pytest.raises(ConfigError, match=f"{name} must be a positive number"):
        SlurmResources(**{name: given})


def test_variables_may_be_numbers():
    """In the constructor as in files; the mapping that is given stays as it is. Truth values have no one form."""
    given = {"OMP_NUM_THREADS": 4, "SCALE": 0.5, "N": np.int32(3), "HOME_OF": "$HOME/x"}
    expected = {"OMP_NUM_THREADS": "4", "SCALE": "0.5", "N": "3", "HOME_OF": "$HOME/x"}
    assert SlurmCluster(env_vars=given).env_vars == SlurmCluster.from_yaml({"env_vars": given}).env_vars == expected
    assert given["OMP_NUM_THREADS"] == 4
    for wrong in (True, None, [1]):
        with pytest.raises(ConfigError, match=r"env_vars: DEBUG is no text, but of type "):
            SlurmCluster(env_vars={"DEBUG": wrong})


def test_variables_are_not_shown():
    """They may be tokens."""
    assert "hunter2" not in repr(SlurmCluster(env_vars={"TOKEN": "hunter2"}))
    for wrong in (["hunter2"], "hunter2\0"):
        with pytest.raises(ConfigError, match="TOKEN") as caught:
            SlurmCluster(env_vars={"TOKEN": wrong})
        assert "hunter2" not in str(caught.value)


def test_an_entry_of_f3dasms_clusters_is_left_out():
    """``enabled`` tells f3dasm's own scripts something; other entries are told."""
    assert SlurmCluster.from_yaml({"enabled": False, "partition": "long"}) == SlurmCluster(partition="long")
    with pytest.raises(ConfigError, match="Unknown setting of SlurmCluster 'enable'"):
        SlurmCluster.from_yaml({"enable": True})
    with pytest.raises(ConfigError, match="Unknown setting of SlurmResources 'enabled'"):
        SlurmResources.from_yaml({"enabled": True})


@pytest.mark.slow
@pytest.mark.slurm
@pytest.mark.xdist_group("slurm")
@pytest.mark.usefixtures("slurm")
def test_sbatch_agrees():
    """With what is taken and what is refused, where a line can hold it."""

    def is_taken(option, value):
        command = ["sbatch", "--test-only", f"--{option}={value}", "--wrap=true"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    sizes = [size for size in SIZES.values() if size not in ("1T", "4G")]  # more than the node has
    assert [size for size in sizes if not is_taken("mem", size)] == []
    assert [time for time in [*TIMES, "UNLIMITED"] if not is_taken("time", time)] == []
    refused = [size for size in NO_SIZES if size.isprintable() and size not in ("", "+4")]
    assert [size for size in refused if is_taken("mem", size)] == []
    assert [time for time in NO_TIMES if time.isprintable() and time not in ("", "-1") and is_taken("time", time)] == []
