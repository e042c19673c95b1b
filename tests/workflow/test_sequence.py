"""What follows what: steps that fail, loops that end, workflows and loops without steps, names that are there twice."""

import itertools
import json
import signal

import pytest

from curator_core.errors import ConfigError, WorkflowError
from curator_core.slurm import SlurmCluster
from curator_core.workflow import Block, DataGenerator, Domain, ExperimentData, Loop, Step, Workflow
from curator_core.workflow.sequence import StepSequence, unique_names
from curator_core.workflow.state import Position, Progress, WorkflowStatus

pytest.importorskip("pandas")


def noted(name, ran, *, fails=False):
    """A function that notes its name, and raises if it is to."""

    def call(project_dir):
        ran.append(name)
        if fails:
            raise RuntimeError(f"{name} diverged")

    call.__name__ = name
    return call


def run(workflow, folder, ran):
    """What ran, and how the workflow ended: the error, or its failures."""
    try:
        workflow.run(rootdir=folder, project_job="job")
    except RuntimeError as exc:
        return ran, str(exc)
    return ran, Progress.read(folder / "job").failures


@pytest.mark.parametrize("third", ["afterok", "afterany"])
@pytest.mark.parametrize("second", ["afterok", "afterany"])
def test_each_step_says_what_the_one_before_it_has_to_do(tmp_path, second, third):
    """The second one's own dependency is about the first, which succeeds; the third's about the second, which fails."""
    ran = []
    steps = [
        Step(noted("a", ran)),
        Step(noted("b", ran, fails=True), dependency=second),
        Step(noted("c", ran), dependency=third),
    ]
    expected = {
        "afterok": (["a", "b"], "b diverged"),
        "afterany": (["a", "b", "c"], ("step 'b' failed: RuntimeError: b diverged",)),
    }
    assert run(Workflow("w", steps), tmp_path, ran) == expected[third]


def test_the_last_step_has_nobody_after_it(tmp_path):
    """Its failure is the workflow's."""
    ran = []
    steps = [Step(noted("a", ran, fails=True), dependency="afterany")]
    assert run(Workflow("w", steps), tmp_path, ran) == (["a"], "a diverged")


def test_before_within_and_after_a_loop(tmp_path):
    """The next step is the loop's first one, again in its next iteration, and what follows the loop."""
    ran = []
    steps = [
        Step(noted("a", ran, fails=True)),
        Loop(2, [Step(noted("b", ran), dependency="afterany"), Step(noted("c", ran, fails=True))]),
        Loop(0, [Step(noted("never", ran))]),
        Step(noted("d", ran), dependency="afterany"),
    ]
    ran, failures = run(Workflow("w", steps), tmp_path, ran)
    assert ran == ["a", "b", "c", "b", "c", "d"]
    assert [text.partition(" failed")[0] for text in failures] == ["step 'a'", "step 'c'", "step 'c', iteration 2"]
    ran.clear()
    again = [*steps[:-1], Step(noted("d", ran))]
    (tmp_path / "job" / "workflow.json").unlink()
    assert run(Workflow("w", again), tmp_path, ran) == (["a", "b", "c", "b", "c"], "c diverged")


def test_a_condition_is_not_asked_where_its_answer_is_no_matter(tmp_path):
    """The step failed and everything that could follow needs it: there may be no table to tell of."""
    ran = []

    def until(data):
        ran.append(f"asked {len(data)}")

    loop = Loop(3, [Step(noted("a", ran, fails=True))], until=until)
    assert run(Workflow("w", [loop]), tmp_path, ran) == (["a"], "a diverged")
    ran.clear()
    loop = Loop(3, [Step(noted("a", ran, fails=True), dependency="afterany")], until=until)
    ExperimentData(input_data=[{"x": 1}]).store(tmp_path / "job")
    assert run(Workflow("w", [loop]), tmp_path, ran)[0] == ["a", "asked 1", "a", "asked 1", "a"]


def test_a_condition_that_fails_ends_the_workflow_which_goes_on_there(tmp_path):
    """It is written down as the failure of the step before it."""

    def until(data):
        raise KeyError("no such output")

    ExperimentData(input_data=[{"x": 1}]).store(tmp_path / "job")
    workflow = Workflow("w", [Loop(2, [Step(noted("a", []))], until=until)])
    with pytest.raises(KeyError):
        workflow.run(rootdir=tmp_path, project_job="job")
    found = Progress.read(tmp_path / "job")
    assert (found.status, found.place) == (WorkflowStatus.FAILED, Position())
    assert "no such output" in found.error


@pytest.mark.parametrize(
    "steps", [[], (), [Loop()], [Loop(3)], [Loop(0, [Step(noted("never", []))])], iter([]), [Loop(2, iter([])), Loop()]]
)
def test_without_steps_all_is_done_at_once(tmp_path, steps):
    """In a folder of its own, again, on a cluster without a scheduler; there is nothing to submit or to begin with."""
    workflow = Workflow("w", steps)
    assert workflow.run(rootdir=tmp_path, project_job="job") == "job"
    assert workflow.run(rootdir=tmp_path, project_job="job") == "job"
    assert workflow.run("slurm", SlurmCluster(), rootdir=tmp_path, project_job="other") == "other"
    for job in ("job", "other"):
        assert Progress.read(tmp_path / job).status == "done"
    assert workflow.course.first() is None


def test_loops_without_steps_are_passed(tmp_path):
    """At the beginning, between steps, at the end; and by what asks for the next step."""
    ran = []
    steps = [Loop(), Step(noted("a", ran)), Loop(2), Loop(2, [Step(noted("b", ran))]), Loop(0, [Step(noted("c", ran))])]
    assert run(Workflow("w", steps), tmp_path, ran) == (["a", "b", "b"], ())
    assert Workflow("w", steps).course.first() == Position(1)


class Add(Block):
    """One row more."""

    def call(self, data, **kwargs):
        domain = Domain()
        domain.add_int("x", 0, 99)
        more = ExperimentData(domain, [{"x": len(data)}])
        return data + more if len(data) else more


class Double(DataGenerator):
    """y = n x."""

    def execute(self, experiment_sample, n=2):
        experiment_sample.store("y", n * experiment_sample.get("x"))
        return experiment_sample


def test_steps_of_one_name_each_have_their_own_metrics_and_scripts(tmp_path):
    """Whether they have no name, or the same one; before and in loops."""
    steps = [
        Step(Add()),
        Step(Double(), parallel=True),
        Loop(2, [Step(Add()), Step(Double(), parallel=True, kwargs={"n": 3})]),
        Step(Double(), parallel=True, name="Double-2"),
        Step(noted("orchestrator", [])),
    ]
    workflow = Workflow("w", steps)
    workflow.run(rootdir=tmp_path, project_job="job", n_jobs=1)
    assert ExperimentData.from_file(tmp_path / "job").to_pandas()[1]["y"].tolist() == [0, 3, 6]
    assert sorted(path.name for path in (tmp_path / "job" / "metrics").glob("*.db")) == ["Double-3.db", "Double.db"]
    scripts = workflow.generate_scripts(SlurmCluster())
    labels = ["Add", "Double", "loop2_Add", "loop2_Double", "Double-2", "orchestrator-2", "orchestrator"]
    assert list(scripts) == labels
    assert "workflow.slurm.orchestrator" in scripts["orchestrator"]
    course = workflow.from_step("Double-2").course
    assert course.step(course.first()).name == "Double-2"
    assert [step.name for step in workflow.from_step("Add").steps[:2]] == ["Add", "Double"]


def test_unique_names_keep_the_names_that_are_given():
    """The first of each, and none that another step has."""
    assert unique_names(["a", "a", "a-2", "a", "b"]) == ["a", "a-3", "a-2", "a-4", "b"]


def test_two_workflows_without_a_name_for_their_jobs_have_a_folder_each(tmp_path):
    """However quickly they follow one another."""
    jobs = {Workflow("w", []).run(rootdir=tmp_path) for _ in range(3)}
    assert len(jobs) == 3
    assert {path.name for path in tmp_path.iterdir()} == jobs


def test_folders_that_cannot_be_one_are_told(tmp_path):
    """A file in its place, a name too long, a name that is none."""
    (tmp_path / "file").touch()
    workflow = Workflow("w", [])
    with pytest.raises(WorkflowError, match="file is no folder"):
        workflow.run(rootdir=tmp_path, project_job="file")
    with pytest.raises(WorkflowError, match="too long"):
        workflow.run(rootdir=tmp_path, project_job="n" * 300)
    with pytest.raises(ConfigError, match="project_job is a name, not 7"):
        workflow.run(rootdir=tmp_path, project_job=7)


def test_the_folder_of_jobs_may_be_at_home(tmp_path, monkeypatch):
    """No folder called ``~`` is made; addresses, users who are not there and other things are told."""
    monkeypatch.setenv("HOME", str(tmp_path))
    Workflow("w", []).run(rootdir="~/jobs", project_job="job")
    assert (tmp_path / "jobs" / "job" / "workflow.json").exists()
    scripts = Workflow("w", [Step(noted("a", []))]).generate_scripts({"log_dir": "~/logs"}, rootdir="~/jobs")
    assert f"--output={tmp_path}/logs/" in scripts["a"]
    for wrong in ("s3://bucket/jobs", 3, "~nobody-of-this-name/jobs"):
        with pytest.raises(ConfigError, match="rootdir"):
            Workflow("w", []).run(rootdir=wrong, project_job="job")
    for wrong in ("~/table", "s3://bucket/table"):
        with pytest.raises(ConfigError, match="leaves the folder of the job"):
            Step(noted("a", []), project_dir=wrong)


def stored(folder):
    """What is written down of a workflow in the middle of a loop."""
    course = StepSequence("w", [Step(print), Loop(2, [Step(print, name="a"), Step(print, name="b")])])
    progress = course.progress(folder).at(Position(1, 1, 1))
    progress.write(folder)
    return json.loads((folder / "workflow.json").read_text())


DAMAGE = {
    "no JSON": lambda _: "{",
    "nested too deep": lambda _: "[" * 100_000,
    "a list": lambda _: "[]",
    "zeros": lambda _: "\0" * 100,
    "an unknown entry": lambda said: {**said, "color": "red"},
    "a place that is not there": lambda said: {**said, "place": {"element": 1, "iteration": 0, "step": 2}},
    "a place before the first": lambda said: {**said, "place": {"element": -1, "iteration": 0, "step": 0}},
    "a place of texts": lambda said: {**said, "place": {"element": "1", "iteration": 0, "step": 0}},
    "steps that are numbers": lambda said: {**said, "outline": [1, 2]},
    "no list of steps": lambda said: {**said, "outline": 3},
    "a job that is an option": lambda said: {**said, "orchestrator": "--user=root"},
    "jobs that are none": lambda said: {**said, "jobs": ["12", "; ls"]},
    "an attempt that is a path": lambda said: {**said, "attempt": "../../home"},
    "deaths without number": lambda said: {**said, "n_deaths": None},
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_state_is_told_with_its_file(tmp_path, damage):
    """Whatever is wrong with it: nothing of it reaches a command, a path or a list unseen."""
    content = damage(stored(tmp_path))
    (tmp_path / "workflow.json").write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ConfigError, match=r"workflow\.json does not tell how far a workflow is"):
        Progress.read(tmp_path)


def test_a_state_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    """A full disk, say: what failed, where, and that the workflow goes on then."""

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("curator_core.workflow.state.publish_text", full)
    with pytest.raises(WorkflowError, match=r"workflow\.json: .*No space left on device.* goes on"):
        Workflow("w", [Step(noted("a", []))]).run(rootdir=tmp_path, project_job="job")


class Counted(DataGenerator):
    """y = x, and a note of each row; `deadly` ones raise what no step should swallow."""

    def __init__(self, notes, deadly=()):
        self.notes, self.deadly = notes, deadly

    def arm(self, data):
        self.notes.append(("armed", len(data)))

    def execute(self, experiment_sample, error=ValueError):
        x = experiment_sample.get("x")
        self.notes.append(x)
        if x in self.deadly:
            raise error(f"no y of {x}")
        experiment_sample.store("y", x)
        return experiment_sample


def with_rows(folder, n=4):
    domain = Domain()
    domain.add_int("x", 0, 99)
    ExperimentData(domain, [{"x": x} for x in range(n)]).store(folder)


def ctrl_c(text):
    """What Ctrl-C does at this moment."""
    signal.raise_signal(signal.SIGINT)
    return AssertionError(text)


def test_a_generator_step_keeps_its_rows_one_by_one(tmp_path):
    """Interrupted in the third: two are there, and the next run evaluates the others, in the same object."""
    notes, job = [], tmp_path / "job"
    with_rows(job)
    block = Counted(notes, deadly={2})
    workflow = Workflow("w", [Step(block, kwargs={"error": ctrl_c})])
    with pytest.raises(KeyboardInterrupt):
        workflow.run(rootdir=tmp_path, project_job="job")
    assert notes == [("armed", 4), 0, 1, 2]
    assert len(list((job / "experiment_results").glob("*.json"))) == 2
    block.deadly = {3}
    again = Workflow("w", [Step(block)])
    again.run(rootdir=tmp_path, project_job="job")
    assert notes[4:] == [("armed", 4), 2, 3]
    data = ExperimentData.from_file(job)
    assert data.jobs.tolist() == ["finished", "finished", "finished", "error"]
    assert "ValueError: no y of 3" in data.failures[3].error
    assert Progress.read(job).status == "done"
    again.run(rootdir=tmp_path, project_job="job")
    assert len(notes) == 7 or notes[7:] == [("armed", 4)]  # no open row is left


def test_a_generator_step_without_a_table_is_told(tmp_path):
    """There is nothing to evaluate, which is no success."""
    with pytest.raises(FileNotFoundError, match="experiment_data"):
        Workflow("w", [Step(Counted([]))]).run(rootdir=tmp_path, project_job="job")


def test_a_generator_that_has_a_call_of_its_own_is_called(tmp_path):
    """With the whole table; and one within a chain is the chain's."""

    class Whole(Counted):
        def call(self, data, **kwargs):  # type: ignore[override]
            self.notes.append(("called", len(data)))
            return super().call(data, **kwargs)

    notes = []
    with_rows(tmp_path / "job", 2)
    steps = [Step(Whole(notes), name="whole"), Step(Add() >> Counted(notes), name="chain")]
    Workflow("w", steps).run(rootdir=tmp_path, project_job="job")
    assert notes == [("armed", 2), ("called", 2), 0, 1, ("armed", 2), 2]
    assert ExperimentData.from_file(tmp_path / "job").to_pandas()[1]["y"].tolist() == [0, 1, 2]


def test_a_result_that_cannot_be_written_leaves_its_row_open(tmp_path, monkeypatch):
    """The step fails by that row and reason; the others are kept."""
    from curator_core.workflow import evaluation, execution, write_result

    real = write_result

    def full(project_dir, index, *args, **kwargs):
        if index == 1:
            raise OSError(28, "No space left on device")
        return real(project_dir, index, *args, **kwargs)

    for module in (evaluation, execution, "curator_core.workflow.experiments_pipeline"):
        monkeypatch.setattr(
            module if not isinstance(module, str) else __import__(module, fromlist=["x"]), "write_result", full
        )
    with_rows(tmp_path / "job", 3)
    with pytest.raises(WorkflowError, match=r"row 1: its result cannot be written: .*No space left"):
        Workflow("w", [Step(Counted([]))]).run(rootdir=tmp_path, project_job="job")
    assert ExperimentData.from_file(tmp_path / "job").jobs.tolist() == ["finished", "open", "finished"]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda: Step(Double(), name="s", kwargs={"m": 1}), r"Step 's': Double.execute\(.* would be called wrongly"),
        (lambda: Step(Double(), name="s", kwargs={"m": 1}, parallel=True), r"Step 's': Double.execute\("),
        (lambda: Step(noted("a", []), name="s", kwargs={"m": 1}), r"Step 's': .*called wrongly"),
        (lambda: Step(lambda: 0, name="s"), r"Step 's': .*called wrongly"),
        (lambda: Step(noted("a", []), name="s", kwargs={"project_dir": "x"}), "project_dir is given by"),
    ],
)
def test_what_a_step_does_not_take_is_told_before_the_first_one(tmp_path, step, message):
    """In a loop, too."""
    for last in (step(), Loop(2, [step()])):
        ran = []
        with pytest.raises(ConfigError, match=message):
            Workflow("w", [Step(noted("a", ran)), last]).run(rootdir=tmp_path, project_job="job")
        assert not ran


def test_scripts_of_a_loop_are_for_any_iteration():
    """They name no iteration, and end with a clear word where none is told; the others have theirs."""
    steps = [
        Step(Add(), name="first"),
        Loop(3, [Step(Double(), name="run", parallel=True), Step(Add(), name="more")]),
    ]
    scripts = Workflow("w", steps).generate_scripts(SlurmCluster(env_vars={"TOKEN": "x"}))
    for label in ("loop1_run", "loop1_more"):
        assert 'export CURATOR_ITERATION="${CURATOR_ITERATION:?' in scripts[label]
        assert "CURATOR_ITERATION='" not in scripts[label]
        assert "Changes made here are not taken up" in scripts[label]
    assert "export CURATOR_ITERATION='0'" in scripts["first"]


def test_two_at_once_wait_for_nobody(tmp_path):
    """A second process in the same folder is refused while the first is at work."""
    seen = []

    def second(project_dir):
        with pytest.raises(WorkflowError, match="runs already"):
            Workflow("w", [Step(second)]).run(rootdir=tmp_path, project_job="job")
        seen.append(project_dir)

    Workflow("w", [Step(second)]).run(rootdir=tmp_path, project_job="job")
    assert list(itertools.islice(seen, 2)) == [tmp_path / "job"]
