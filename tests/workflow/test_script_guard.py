"""Scripts without main guard are refused before a workflow's first step, wherever its workers would run them."""

import sys
import types

import pytest

from curator_core.errors import ConfigError, UnknownNameError
from curator_core.workflow import DataGenerator, ExperimentData, Loop, Step, Workflow

pytest.importorskip("pandas")


class Same(DataGenerator):
    """y = x."""

    def execute(self, experiment_sample):
        experiment_sample.store("y", experiment_sample.get("x"))
        return experiment_sample


def start(project_dir):
    ExperimentData(input_data=[{"x": 1}, {"x": 2}]).store(project_dir)


@pytest.fixture
def script(tmp_path, monkeypatch):
    """A script as the one that runs; its text is given."""

    def script(text):
        main = types.ModuleType("__main__")
        main.__file__ = str(tmp_path / "study.py")
        (tmp_path / "study.py").write_text(text)
        monkeypatch.setitem(sys.modules, "__main__", main)

    return script


PARALLEL = Step(Same(), parallel=True)
REFUSED = [
    {"n_jobs": 2},
    {"backend": "process_pool", "n_jobs": 2},
    {"backend": "process_pool", "n_jobs": 2, "mp_context": "spawn"},
    {"backend": "process_pool", "max_workers": 2},
    {"backend": "dask", "n_jobs": 2},
]


@pytest.mark.parametrize("step", [PARALLEL, Loop(2, [PARALLEL])], ids=["step", "loop"])
@pytest.mark.parametrize("options", REFUSED)
def test_without_a_guard_nothing_begins(tmp_path, script, step, options):
    """Not even the folder of the job is made."""
    script("run()\n")
    with pytest.raises(ConfigError, match=r"study\.py from its top.*__main__"):
        Workflow("w", [Step(start), step]).run(rootdir=tmp_path, project_job="job", **options)
    assert not (tmp_path / "job").exists()


GUARD = 'if __name__ == "__main__":\n    '


@pytest.mark.parametrize(
    ("guard", "step", "options"),
    [
        ("", PARALLEL, {"backend": "sequential"}),
        ("", PARALLEL, {"n_jobs": 1}),
        ("", PARALLEL, {"backend": "thread_pool", "n_jobs": 2}),
        ("", PARALLEL, {"backend": "process_pool", "n_jobs": 2, "mp_context": "fork"}),
        ("", Step(Same()), {"n_jobs": 2}),
        (GUARD, PARALLEL, {"n_jobs": 2, "mp_context": "fork", "progress": False}),
    ],
)
def test_where_no_worker_runs_the_script_it_needs_no_guard(tmp_path, script, guard, step, options):
    """Without processes, without parallel steps, with forked ones; and with the guard."""
    script(f"{guard}run()\n")
    Workflow("w", [Step(start), step]).run(rootdir=tmp_path, project_job="job", **options)
    assert ExperimentData.from_file(tmp_path / "job").is_all_finished()


def test_an_unknown_backend_or_option_is_told_before_the_first_step(tmp_path):
    """By the names of those there are."""
    with pytest.raises(UnknownNameError, match="Known: process_pool"):
        Workflow("w", [Step(start), PARALLEL]).run(rootdir=tmp_path, project_job="job", backend="proces_pool")
    with pytest.raises(UnknownNameError, match="option of backend 'thread_pool' 'speed'"):
        Workflow("w", [Step(start), PARALLEL]).run(
            rootdir=tmp_path, project_job="job", backend="thread_pool", n_jobs=2, speed=3
        )
    assert not (tmp_path / "job").exists()
