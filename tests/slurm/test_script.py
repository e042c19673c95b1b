"""Scripts: bash and sbatch read in them the very values that were given, and nothing else."""

import json
import os
import re
import shlex
import shutil
import subprocess
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator_core.errors import ConfigError
from curator_core.slurm import SlurmCluster, SlurmError, render_script, submit
from curator_core.slurm.resources import SlurmResources
from curator_core.testing import NumbersSource

HOSTILE = [
    *("plain", "", " ", " leading", "trailing ", "two words", "a'b", 'a"b', "'", "''", '"', '""', "a\\b", "a\\", "\\"),
    *("\\\\", "a\\\\b", '\\"', "\\'", "\\n", "a\\ b", "'a b'", '"a b"', "#", "a #b", "a#b", "#SBATCH --hold"),
    *("$(touch pwned)", "`touch pwned`", "${HOME}", "$HOME", ";touch pwned", "&touch pwned&", "|touch pwned"),
    *(">pwned", "<pwned", "*", "?", "[a]", "{a,b}", "~", "~root", "!", "!!", "%j", "%%", "%", "-", "--", "-x"),
    *("--hold", "=", "a=b", "a,b", "(a)", "a[$(touch pwned)]", "ünï", "日本語", "😀", "^", "@", "../x", "(null)"),
    *("a'b\"c\\d $(touch pwned) #f", "x" * 500),
]
UNPRINTABLE = ["a\nb", "a\n#SBATCH --hold", "\r", "\t", "\0", "\x1b[0m", "\x7f", "\u2028", "\u200b", "\udc80"]
texts = st.one_of(
    st.sampled_from(HOSTILE + UNPRINTABLE), st.text("ab \\'\"$`;&|<>(){}[]#~!*?=%-\n\t\0", max_size=12), st.text()
)
names = st.one_of(
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,6}", fullmatch=True), st.sampled_from(["LANG", "IFS", "PS4"]), texts
)
OUR_OWN = {"PATH", "HOME", "LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV"}  # the recording would need them


@st.composite
def scripts(draw):
    """What a script should run, with which variables, and the script; refused values give none."""
    words, command = draw(st.lists(texts, max_size=3)), draw(st.lists(texts, max_size=3))
    variables = draw(st.dictionaries(names.filter(lambda name: name not in OUR_OWN), texts, max_size=4))
    options = draw(st.dictionaries(st.sampled_from(["job-name", "comment", "output", "chdir", "gres"]), texts))
    with suppress(ConfigError):
        cluster = SlurmCluster(
            partition=draw(texts),
            account=draw(texts),
            env_vars=variables,
            runner=shlex.join(["./record", *words]),
        )
        return [*words, *command], variables, render_script(command, cluster=cluster, options=options)
    return None


@pytest.fixture
def recorder(tmp_path, monkeypatch):
    """A folder with a program that tells its arguments and environment."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "record").write_text("#!/bin/sh\nprintf '%s\\0' $# \"$@\"\ncat /proc/$$/environ\n:\n")
    (tmp_path / "record").chmod(0o755)
    return tmp_path


def names_in(folder):
    return [path.name for path in folder.iterdir()]


def run_script(text):
    """Arguments and environment that bash gives to what the script runs."""
    done = subprocess.run(["/bin/bash", "-c", text], env={"PATH": os.environ["PATH"]}, capture_output=True, check=True)
    n, *values = done.stdout.decode().split("\0")[:-1]
    return values[: int(n)], dict(value.split("=", 1) for value in values[int(n) :])


@settings(max_examples=60)
@given(found=st.lists(scripts(), min_size=5, max_size=5))
def test_bash_reads_what_was_given(recorder, found):
    """The command gets its very arguments and variables, no others, and nothing else is run."""
    _, usual = run_script("exec ./record")
    for arguments, variables, text in filter(None, found):
        seen, environment = run_script(text)
        assert seen == arguments
        assert {name: environment.get(name) for name in variables} == variables
        own = {"_", "PWD", "SHLVL", "OLDPWD", "PYTHONPATH"}  # the last is where this process finds modules
        assert {k: v for k, v in environment.items() if k not in variables.keys() | own} == {
            k: v for k, v in usual.items() if k not in variables.keys() | own
        }
    assert names_in(recorder) == ["record"]


def test_no_variable_of_bash_itself_is_set_to_something_else(recorder):
    """Whatever name bash knows is refused, or set; a value that bash would work out as a sum runs no command."""
    names = subprocess.run(["bash", "-c", "compgen -v"], capture_output=True, text=True, check=False)
    known = {"RANDOM", "SRANDOM", "HISTCMD", "OPTIND", "BASH_ARGV0", "SECONDS", "UID", *names.stdout.split()}
    refused = set()
    for name in sorted(known - OUR_OWN):
        for value in ("a[$(touch pwned)]", "7"):
            try:
                cluster = SlurmCluster(env_vars={name: value}, runner="./record")
            except ConfigError:
                refused.add(name)
                continue
            _, environment = run_script(render_script([], cluster=cluster, options={}))
            assert environment.get(name) == value, name
    assert {"RANDOM", "UID", "SECONDS"} <= refused
    assert names_in(recorder) == ["record"]


@pytest.mark.parametrize("program", ["-a", "-c", "--", "x=y", "a b", "$(touch pwned)", "[", "#x", "~x", "if", "!"])
def test_a_runner_of_any_name_is_what_is_run(recorder, monkeypatch, program):
    """It is no option of exec, no assignment, no word of the shell."""
    (recorder / "record").rename(recorder / program)
    monkeypatch.setenv("PATH", f"{recorder}{os.pathsep}{os.environ['PATH']}")
    cluster = SlurmCluster(runner=shlex.join([program, "first"]))
    assert run_script(render_script(["second"], cluster=cluster, options={}))[0] == ["first", "second"]
    assert names_in(recorder) == [program]


@pytest.mark.parametrize("value", UNPRINTABLE, ids=ascii)
@pytest.mark.parametrize(
    "use",
    [
        lambda value: SlurmCluster(partition=value),
        lambda value: SlurmCluster(account=value),
        lambda value: SlurmCluster(runner=f"python {value}"),
        lambda value: SlurmCluster(log_dir=value),
        lambda value: SlurmResources(time=value),
        lambda value: SlurmResources(mem=value),
        lambda value: SlurmResources(extra_sbatch={"gres": value}),
        lambda value: SlurmResources(extra_sbatch={value: "x"}),
        lambda value: SlurmCluster(env_vars={value: "x"}),
        lambda value: render_script((), cluster=SlurmCluster(), options={"job-name": value}),
        lambda value: render_script((), cluster=SlurmCluster(), options={}, environment={value: "x"}),
    ],
)
def test_what_is_not_one_line_is_refused_where_one_line_is_needed(use, value):
    """In directives and names, when they are given."""
    with pytest.raises(ConfigError):
        use(value)


@pytest.mark.slow
@pytest.mark.slurm
@pytest.mark.xdist_group("slurm")
@pytest.mark.usefixtures("slurm")
@pytest.mark.parametrize(("option", "shown"), [("job-name", "%j"), ("comment", "%k")])
def test_sbatch_reads_what_was_given(tmp_path, slurm_daemons, option, shown):
    """The job has the very value, and nothing else of it is an option: each is held, and waits as one job."""
    path, got = tmp_path / "script.sh", {}
    for value in HOSTILE:
        options = {option: value, "mem": "10M", "hold": True}
        path.write_text(render_script(["-c", "1"], cluster=SlurmCluster(account=""), options=options))
        job_id = submit(path)
        said = slurm_daemons.ask("squeue", "--noheader", f"--jobs={job_id}", f"--format=%r|%D|%P|{shown}")
        got[value] = said.removesuffix("\n")
        slurm_daemons.ask("scancel", job_id)
    assert got == {value: f"JobHeldUser|1|batch|{value}" for value in HOSTILE}


@pytest.mark.slow
@pytest.mark.slurm
@pytest.mark.xdist_group("slurm")
@pytest.mark.usefixtures("slurm")
@pytest.mark.parametrize("value", [value for value in HOSTILE if value.strip() and value != "(null)"])
def test_a_partition_of_any_name_is_a_partition(tmp_path, value):
    """None of these exists: sbatch says so, whatever is in the name."""
    path = tmp_path / "script.sh"
    cluster = SlurmCluster(account="", partition=value)
    path.write_text(render_script(["-c", "1"], cluster=cluster, options={"mem": "10M"}))
    with pytest.raises(SlurmError, match=r"(?i)invalid partition|too long"):
        submit(path)


class Surroundings(NumbersSource):
    """Every item is what its task finds in the environment."""

    def __getitem__(self, index):
        yield {name: value for name, value in os.environ.items() if name.startswith("HOSTILE")}


@pytest.mark.slow
@pytest.mark.slurm
@pytest.mark.xdist_group("slurm")
@pytest.mark.parametrize("log_dir", ["logs/{project_job}", 'it\'s "a" $(touch pwned);touch pwned #%u {project_job}'])
def test_a_task_finds_what_was_given(folder, run, slurm, log_dir):
    """On the node, in a folder and with logs of hostile names."""
    values = {f"HOSTILE{n}": value for n, value in enumerate([*HOSTILE, "a\n#SBATCH --hold", "a\ntouch pwned\n"])}
    ((path,),) = run(
        source=Surroundings(1), cluster=SlurmCluster(account="", runner=slurm.runner, env_vars=values, log_dir=log_dir)
    )
    assert json.loads((folder / path).read_text()) == [values]
    assert not list(folder.rglob("pwned"))


def test_shellcheck_finds_nothing(tmp_path):
    """In scripts with all hostile values; one file each."""
    paths = []
    for number, value in enumerate(value for value in HOSTILE if value):
        cluster = SlurmCluster(partition=value, account=value, env_vars={"A": value}, runner=shlex.join([value, value]))
        paths.append(tmp_path / f"{number}.sh")
        paths[-1].write_text(render_script([value], cluster=cluster, options={"job-name": value, "mem": "1G"}))
    if shutil.which("shellcheck") is None:
        pytest.skip("no shellcheck")
    done = subprocess.run(["shellcheck", "-S", "style", *paths], capture_output=True, text=True, check=False)
    assert not re.findall(r"SC\d+.*", done.stdout)
    assert done.returncode == 0
