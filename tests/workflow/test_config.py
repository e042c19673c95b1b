"""Workflows from YAML: what a file means, and every mistake is told with its place before any work."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from curator_core.errors import ConfigError
from curator_core.slurm import SlurmCluster, SlurmResources
from curator_core.workflow import Block, DataGenerator, Loop, Step, Workflow
from curator_core.workflow.config import read_workflow

PARTS = Path(__file__).parent / "parts"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def read(tmp_path):
    """Read a workflow file whose module `things` is beside it."""
    (tmp_path / "things.py").write_text((PARTS / "things.py").read_text())

    def call(text, name="w.yaml"):
        (tmp_path / name).write_text(text)
        return read_workflow(tmp_path / name, Workflow)

    return call


def test_every_entry(read, tmp_path):
    """A block with arguments, by its name alone, or made in Python; loops, functions, pipelines, settings, files."""
    (tmp_path / "big.yaml").write_text("cpus_per_task: 8")
    found = read("""
        name: all of it
        orchestrator_resources: {time: "00:05:00"}
        cluster: {partition: long, env_vars: {OMP_NUM_THREADS: 4, SCALE: 0.5}, env_setup: [module load x]}
        rootdir: jobs
        steps:
          - {name: design, block: {_target_: things.Design, n: 3}, project_dir: a/b}
          - loop:
              n_iterations: 4
              until: things:enough
              steps:
                - block: things.Fit
                  parallel: true
                  kwargs: {offset: 1}
                  resources: big.yaml
                  dependency: afterany
                - {name: twice, block: things.twice}
          - {function: things.plot, kwargs: {dpi: 100}}
          - {pipeline: things.make_pipeline, name: curate}
    """)
    design, loop, plot, curate = found.workflow.steps
    assert (found.workflow.name, found.rootdir) == ("all of it", "jobs")
    assert found.workflow.orchestrator_resources == SlurmResources(time="00:05:00")
    assert found.cluster == SlurmCluster(
        partition="long", env_setup=["module load x"], env_vars={"OMP_NUM_THREADS": "4", "SCALE": "0.5"}
    )
    assert (design.name, design.block.n, design.project_dir) == ("design", 3, "a/b")
    assert isinstance(loop, Loop)
    assert (loop.n_iterations, loop.until.__name__) == (4, "enough")
    fit, twice = loop.steps
    assert (fit.name, fit.parallel, fit.dependency, fit.kwargs) == ("Fit", True, "afterany", {"offset": 1})
    assert fit.resources.cpus_per_task == 8
    assert len(twice.block.blocks) == 2
    assert (plot.name, plot.kwargs) == ("plot", {"dpi": 100})
    assert curate.block.sink is not None


def test_a_mapping_is_read_like_a_file(read):
    """Its name is its own, or none; a file's is the file's."""
    read("steps: [{block: things.Design}]")
    entries = {"steps": [{"block": "things.Design"}]}
    assert read_workflow(entries, Workflow).workflow.name == ""
    assert read("steps: [{block: things.Design}]", "study.yaml").workflow.name == "study"


def test_a_step_like_another(read):
    """YAML's merge key: what stands in it itself is no second entry."""
    steps = read(
        "steps: [&one {block: things.Design, name: one, project_dir: x}, {<<: *one, name: two}]"
    ).workflow.steps
    assert [(step.name, step.project_dir) for step in steps] == [("one", "x"), ("two", "x")]


STEP = "steps: [{%s}]"
LOOP = "steps: [{block: things.Design}, {loop: {%s}}]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"w\.yaml is empty; it must hold a mapping"),
        ("- a", r"w\.yaml must hold a mapping, not list"),
        ("steps: [", r"Cannot read .*w\.yaml"),
        ("steps: !!python/object/apply:os.getcwd []", r"Cannot read .*could not determine a constructor"),
        ("name: a", r"w\.yaml: steps must be a list of steps, not None"),
        ("steps: {block: things.Design}", "steps must be a list"),
        ("name: 3\nsteps: [{block: things.Design}]", r"w\.yaml: name must be a text, not 3; put it in quotes"),
        ("rootdir: [a]\nsteps: [{block: things.Design}]", r"w\.yaml: rootdir must be a text"),
        ("step: []", r"w\.yaml: Unknown entry 'step'\. Known: steps"),
        ("steps:\n- block: things.Design\n  block: things.Fit", r"'block' is there twice\s+in .*line 3"),
        ("steps: [things.Design]", r"steps\[0\] must be a mapping, not 'things.Design'"),
        ("steps: [null]", r"steps\[0\] must be a mapping, not None"),
        (STEP % "name: a", r"steps\[0\] \(a\): a step needs one of block, function, pipeline, and has none"),
        (STEP % "block: things.Design, function: things.plot", "and has block and function"),
        (STEP % "block: things.Design, prallel: true", r"steps\[0\]: Unknown entry 'prallel'\. Known: parallel"),
        (STEP % "block: things.Design, parallel: 4", r"steps\[0\]: parallel must be true or false, not 4"),
        (STEP % "block: things.Design, name: 1", r"steps\[0\]: name must be a text, not 1"),
        (STEP % "block: things.Design, name: a/b", r"steps\[0\] \(a/b\): A step's name is a text .* without slashes"),
        (STEP % "block: things.Design, dependency: after", r"steps\[0\]: .*'afterok' or 'afterany', not 'after'"),
        (STEP % "block: things.Design, dependency: [x]", r"steps\[0\]: .*'afterok' or 'afterany'"),
        (STEP % "block: things.Design, project_dir: ../x", r"steps\[0\]: .*leaves the folder"),
        (
            STEP % "block: things.Design, resources: {tme: '1'}",
            r"steps\[0\]: Unknown setting of .* 'tme'\. Known: time",
        ),
        (STEP % "block: things.Design, resources: {time: 600}", r"steps\[0\]: .*time=600 is no text; .* quotes"),
        (
            STEP % "block: things.Design, resources: {mem: lots}",
            r"steps\[0\]: .*mem='lots' is nothing that sbatch takes",
        ),
        (STEP % "block: things.Design, resources: {nodes: two}", r"steps\[0\]: .*nodes must be a positive number"),
        (STEP % "block: things.Design, resources: {extra_sbatch: 'gres'}", r"steps\[0\]: .*extra_sbatch must be a map"),
        (STEP % "block: things.Design, resources: none.yaml", r"steps\[0\]: Cannot read .*none\.yaml"),
        (STEP % "block: things.Design, kwargs: [a]", r"steps\[0\]: kwargs must be a mapping"),
        (STEP % "block: things.Design, kwargs: {1: 2}", r"steps\[0\]: kwargs: the name 1 is no text"),
        (STEP % "block: things.Deesign", r"steps\[0\]: block: cannot load 'things.Deesign'.*Is 'Design' meant\?"),
        (STEP % "block: thinks.Design", r"steps\[0\]: block: cannot load .*No module named 'thinks'"),
        (STEP % "block: Design", r"steps\[0\]: block: 'Design' names nothing that can be imported; write module:name"),
        (STEP % "block: .Design", r"steps\[0\]: block: '.Design' names nothing"),
        (STEP % "block: things.plot", r"steps\[0\]: block: 'things.plot' is no Block"),
        (STEP % "block: {n: 3}", r"steps\[0\]: block: expected the name of a class, or _target_"),
        (STEP % "block: 3", r"steps\[0\]: block: expected the name of a class"),
        (STEP % "block: {_target_: things.Design, m: 3}", r"steps\[0\]: block: Design cannot .* It takes n\."),
        (STEP % "block: {_target_: things.Design, n: -1}", r"steps\[0\]: block: .*ValueError: n must not be negative"),
        (STEP % "block: things.Idle", r"steps\[0\]: block: Idle has no call\(\)"),
        (STEP % "block: things.Lazy", r"steps\[0\]: Lazy has no execute\(\)"),
        (STEP % "block: things.Fit, kwargs: {offst: 1}", r"steps\[0\]: .*got an unexpected keyword argument 'offst'"),
        (STEP % "function: things.Design", r"steps\[0\]: function: things.Design is a Block: write `block: things.Des"),
        (STEP % "function: things.twice", r"is a Block: write `block: things.twice`"),
        (STEP % "function: things.number", r"steps\[0\]: function: things.number is no function, but 3"),
        (STEP % "function: {_target_: things.plot}", r"steps\[0\]: function: expected the name of a function"),
        (STEP % "function: things.plot, kwargs: {dip: 1}", r"steps\[0\]: plot\(project_dir, dpi=72\) would be called"),
        (STEP % "function: things.plot, kwargs: {project_dir: x}", r"steps\[0\]: kwargs: project_dir is given by"),
        (STEP % "function: things.plot, parallel: true", r"steps\[0\]: .*cannot be spread over workers"),
        (STEP % "pipeline: none.yaml", r"steps\[0\]: pipeline: .*none\.yaml"),
        (STEP % "pipeline: 3", r"steps\[0\]: pipeline: expected a pipeline file, its entries, or module:name"),
        (STEP % "pipeline: things.plot", r"steps\[0\]: pipeline: it cannot be built: TypeError"),
        (STEP % "pipeline: things.number", r"steps\[0\]: pipeline: 'things.number' is no Pipeline, but 3"),
        (STEP % "pipeline: {sourcy: 1}", r"steps\[0\]: pipeline: unknown entry sourcy"),
        (STEP % "pipeline: things.sinkless", r"steps\[0\]: pipeline: the pipeline has no sink"),
        (STEP % "pipeline: things.make_pipeline, kwargs: {a: 1}", r"steps\[0\]: a pipeline takes no kwargs"),
        (LOOP % "n_iterations: 2", r"steps\[1\]\.loop\.steps must be a list"),
        (LOOP % "n_iterations: -1, steps: [{block: things.Fit}]", r"steps\[1\]\.loop: .*0 or more, not -1"),
        (LOOP % "n_iterations: true, steps: [{block: things.Fit}]", r"steps\[1\]\.loop: .*0 or more, not"),
        (LOOP % "n_iterations: two, steps: [{block: things.Fit}]", r"steps\[1\]\.loop: .*0 or more, not"),
        (LOOP % "n: 2, steps: [{block: things.Fit}]", r"steps\[1\]\.loop: Unknown entry 'n'"),
        (LOOP % "until: things.plotter, steps: [{block: things.Fit}]", r"steps\[1\]\.loop\.until: cannot load"),
        (LOOP % "until: things.never, steps: [{block: things.Fit}]", r"\.until: never\(\) would be called wrongly"),
        (LOOP % "steps: [{block: things.Fit}, {blocky: x}]", r"steps\[1\]\.loop\.steps\[1\]: Unknown entry 'blocky'"),
        (LOOP % "steps: [{loop: {}}]", r"steps\[1\]\.loop: a loop cannot hold another one"),
        ("steps: [{loop: [x]}]", r"steps\[0\]\.loop must be a mapping"),
        ("steps: [{loop: {}, name: x}]", r"steps\[0\]: Unknown entry 'name'\. Known: loop"),
        (
            "cluster: {env_vars: {DEBUG: yes}}\nsteps: [{block: things.Fit}]",
            r"w\.yaml: .*DEBUG is no text, but of type bool; .*quotes",
        ),
        ("cluster: {env_vars: {DEBUG: }}\nsteps: [{block: things.Fit}]", r"DEBUG is no text, but of type NoneType"),
        ("cluster: {env_vars: [A=1]}\nsteps: [{block: things.Fit}]", r"w\.yaml: .*env_vars must be a mapping"),
        ("cluster: {env_setup: module load x}\nsteps: [{block: things.Fit}]", r"w\.yaml: .*env_setup must be a list"),
        ("cluster: [a]\nsteps: [{block: things.Fit}]", r"w\.yaml: SlurmCluster must be a mapping"),
        ("cluster: none.yaml\nsteps: [{block: things.Fit}]", r"w\.yaml: Cannot read .*none\.yaml"),
    ],
)
def test_mistakes_are_told_with_their_place(read, text, message):
    """What, where, what to do; as one ``ValueError``."""
    with pytest.raises(ConfigError, match=message):
        read(text)


def test_a_broken_module_is_told(read, tmp_path):
    """With the name of its file and line, or with what it misses."""
    (tmp_path / "broken.py").write_text("def (:\n")
    (tmp_path / "needy.py").write_text("import no_such_package\n")
    with pytest.raises(ConfigError, match=r"cannot load 'broken\.X': invalid syntax \(broken\.py, line 1\)"):
        read(STEP % "block: broken.X")
    with pytest.raises(ConfigError, match=r"cannot load 'needy\.X': No module named 'no_such_package'"):
        read(STEP % "block: needy.X")


class Offset(DataGenerator):
    """y = x + offset."""

    def execute(self, experiment_sample, offset):
        experiment_sample.store("y", experiment_sample.get("x") + offset)
        return experiment_sample


def test_call_arguments_of_a_configuration_reach_parallel_experiments(tmp_path):
    """As they reach a block that is called as a whole; those of the step come before them."""
    pytest.importorskip("pandas")
    from curator_core.workflow import Domain, ExperimentData

    for kwargs, expected in (({}, 11), ({"offset": 20}, 21)):
        domain = Domain()
        domain.add_int("x", 0, 9)
        job = tmp_path / f"job{expected}"
        ExperimentData(domain, [{"x": 1}]).store(job)
        step = Step(Offset.from_yaml({}, {"offset": 10}), parallel=True, kwargs=kwargs)
        Workflow("w", [step]).run(rootdir=tmp_path, project_job=job.name, backend="sequential")
        assert ExperimentData.from_file(job).to_pandas()[1]["y"].tolist() == [expected]


def test_nothing_but_configurations_is_made_plain():
    """Tuples and objects reach a block's constructor as they are."""

    class Keeps(Block):
        def __init__(self, pair, thing):
            self.pair, self.thing = pair, thing

        def call(self, data):
            return data

    thing = object()
    made = Keeps.from_yaml({"pair": (1, 2), "thing": [thing]})
    assert (made.pair, made.thing) == ((1, 2), [thing])


def test_configurations_of_omegaconf():
    """Interpolations are followed, lists and mappings become plain ones, missing values are told; workflows too."""
    python = os.environ.get("CURATOR_F3DASM_PYTHON")
    if python is None:
        pytest.skip("needs OmegaConf; name the interpreter of f3dasm in CURATOR_F3DASM_PYTHON")
    paths = os.pathsep.join([str(ROOT), str(PARTS)])
    done = subprocess.run(
        [python, PARTS / "omegaconf_side.py"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["cluster"] == {
        "partition": "long",
        "env_setup": ["module load python", "export WHERE=/scratch/me"],
        "env_vars": {"OMP_NUM_THREADS": "4", "HOME_OF": "me"},
        "log_dir": "logs/me",
    }
    assert said["cluster_types"] == ["list", "dict"]
    assert said["in_a_mapping"] == [["list", "module load python"], ["dict", "4"]]
    assert said["resources"] == [4, {"gres": "gpu:1"}]
    assert said["block"] == {"n": 4, "options": {"deep": [1, {"user": "me"}]}, "call": {"offset": 4}}
    assert said["block_types"] == ["dict", "list", "dict", "dict"]
    assert said["step"] == ["dict", "list", {"values": [1, 2], "user": "me"}]
    assert said["workflow"] == ["whole", "Thing", {"offset": 4}, 4, "long"]
    assert "Missing mandatory value: partition" in said["missing"]
    assert "nowhere" in said["dangling"]
    assert "Unknown setting of SlurmCluster 'user'" in said["unknown"]
