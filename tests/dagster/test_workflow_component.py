"""A workflow from a ``defs.yaml``: what `build_workflow_defs` gives, by the names of the curation's component."""

import inspect
import re
import sys
import textwrap
from typing import cast

import pytest
from dagster import AssetKey, DagsterInstance, RetryPolicy, ScaffoldRequest, in_process_executor
from dagster.components.testing import create_defs_folder_sandbox

pytest.importorskip("pandas")

from curator_core.workflow import SlurmCluster
from curator_dagster import CurationComponent, WorkflowComponent, build_workflow_defs
from curator_dagster.component.scaffolding import WorkflowScaffolder
from curator_dagster.workflow.partitions import studies_in

# How Dagster 1.13 reads a defs.yaml.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.parse_obj_as. is deprecated"),
    pytest.mark.filterwarnings("ignore:.* is currently in beta"),
]

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
STEPS = """
from curator_core.workflow import Block, DataGenerator, Domain, ExperimentData, Workflow, Step

class Design(Block):
    def __init__(self, n, unit="m"):
        self.n, self.unit = n, unit

    def call(self, data, **kwargs):
        domain = Domain()
        domain.add_int("x", 0, 1000)
        return ExperimentData(domain, [{"x": k} for k in range(self.n)])

class Square(DataGenerator):
    def execute(self, experiment_sample):
        x = experiment_sample.get("x")
        if x == 2:
            raise ValueError("no square of 2")
        experiment_sample.store("y", x * x)
        return experiment_sample

made = Workflow("made", [Step(Design(1))])

def build():
    return made

def wrong():
    raise ValueError("no such mesh")
"""
FILE = """
name: squares
rootdir: "{{ env('STUDIES', 'studies') }}"
cluster: {partition: long, account: lab, runner: python3}
steps:
- block: {_target_: component_steps.Design, n: 3, unit: "{{ env.UNIT }}"}
- block: component_steps.Square
  parallel: true
"""


@pytest.fixture
def sandbox():
    """A project with a folder for components."""
    with create_defs_folder_sandbox() as found:
        yield found


@pytest.fixture
def load(sandbox, tmp_path, monkeypatch):
    """Function that loads definitions from the attributes of a workflow, and the text of its file."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.setenv("UNIT", "mm")
    (tmp_path / "component_steps.py").write_text(STEPS)

    def loaded(attributes, file=FILE):
        folder = sandbox.defs_folder_path / "study0"
        folder.mkdir(exist_ok=True)
        (folder / "workflow.yaml").write_text(file)
        (folder / "cluster.yaml").write_text("partition: short\nrunner: python3\n")
        body = textwrap.indent(textwrap.dedent(attributes), "  ")
        (folder / "defs.yaml").write_text(f"type: curator_dagster.WorkflowComponent\nattributes:\n{body}\n")
        with sandbox.build_all_defs() as defs:
            return defs

    yield loaded
    sys.modules.pop("component_steps", None)


def study_of(defs):
    (found,) = studies_in(defs).values()
    return found


def test_a_run_of_a_workflow_from_yaml(load, sandbox):
    """Its experiments are partitions of a real instance, one failed; its folder is that of the file, in the project."""
    defs = load("name: study\nworkflow: workflow.yaml\nexecutor: in_process\nbackend: sequential\nkey_prefix: lab")
    with DagsterInstance.ephemeral() as instance:
        job = defs.resolve_job_def("study_run")
        result = job.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET)
        (failure,) = [event for event in result.all_events if event.is_step_failure]
        said = failure.step_failure_data.error_display_string
        assert "1 of 3 experiments failed, the workflow is done: 2: ValueError: no square of 2" in said
        assert instance.get_dynamic_partitions("study") == ["0", "1", "2"]
        assert instance.get_materialized_partitions(AssetKey(["lab", "study", "experiments"])) == {"0", "1"}
    assert (sandbox.project_root / "studies" / "study" / "experiment_data").is_dir()
    study = study_of(defs)
    assert study.workflow.name == "squares"
    assert study.workflow.steps[0].block.unit == "mm"


@pytest.mark.parametrize(
    "workflow",
    ["component_steps:made", "component_steps:build", "{steps: [{block: {_target_: component_steps.Design, n: 1}}]}"],
    ids=["workflow", "function", "inline"],
)
def test_a_workflow_is_a_file_a_name_or_stands_inline(load, workflow, tmp_path):
    """All give the same assets; an absolute folder is taken as it is."""
    defs = load(f"name: study\nworkflow: {workflow}\nrootdir: {tmp_path}/jobs")
    assert {key.to_user_string() for key in defs.resolve_all_asset_keys()} == {"study/experiments", "study/table"}
    assert study_of(defs).job_dir == tmp_path / "jobs" / "study"
    assert study_of(defs).workflow.name in {"made", "study"}


SETTINGS = """
name: study
workflow: workflow.yaml
rootdir: elsewhere
project_job: "job_{{ env.UNIT }}"
mode: slurm
executor: in_process
executor_for: jobs
group_name: lab
deps: [mesh]
schedule: "@daily"
timezone: Europe/Berlin
tags: {team: "{{ 'x' * 2 }}"}
prune: true
translation:
  owners: [lab@example.org]
  tags: {study: "{{ props.name }}", asset: "{{ props.asset }}"}
op:
  tags: {node: "007"}
  pool: licences
  retry_policy: {max_retries: 3, delay: 10}
"""


def test_all_is_set_from_yaml(load, sandbox):
    """By the names of the curation's component, with templates; the cluster stands in the workflow's file, or here."""
    defs = load(SETTINGS)
    study = study_of(defs)
    assert (study.job_dir, study.mode, study.prune) == (sandbox.project_root / "elsewhere" / "job_mm", "slurm", True)
    assert study.cluster == SlurmCluster(partition="long", account="lab", runner="python3")
    specs = {spec.key.path[-1]: spec for spec in defs.resolve_all_asset_specs()}
    assert AssetKey("mesh") in {dep.asset_key for dep in specs["experiments"].deps}
    for asset in ("experiments", "table"):
        spec = specs[asset]
        assert (spec.group_name, spec.owners) == ("lab", ["lab@example.org"])
        assert spec.tags == {"study": "study", "asset": asset}
    job = defs.resolve_job_def("study_run")
    (node,) = job.nodes
    assert (node.definition.tags["node"], node.definition.pools) == ("007", {"licences"})
    assert node.definition.retry_policy == RetryPolicy(max_retries=3, delay=10)
    assert job.tags["team"] == "xx"
    assert job.executor_def.name == in_process_executor.name
    assert defs.executor is None
    assert defs.resolve_schedule_def("study_schedule").execution_timezone == "Europe/Berlin"
    assert study_of(load(SETTINGS + "cluster: cluster.yaml")).cluster.partition == "short"
    inline = "cluster: {partition: '{{ env.UNIT }}', runner: python3}"
    assert study_of(load(SETTINGS + inline)).cluster.partition == "mm"


def test_settings_are_those_of_build_workflow_defs():
    """Same names, same defaults: nothing can be set in YAML that the function does not know, nor the reverse."""
    known = inspect.signature(build_workflow_defs).parameters
    fields = dict(WorkflowComponent.model_fields)
    assert fields.pop("translation").default is None  # YAML alone has it
    assert fields.pop("op").default is None  # which holds three settings of the op
    assert fields.pop("rootdir").default is None  # which the workflow's file may say
    for name, field in fields.items():
        assert name in known
        assert field.is_required() == (known[name].default is inspect.Parameter.empty)
        assert field.is_required() or field.default == known[name].default
    assert set(known) - set(fields) == {"rootdir", "op_tags", "pool", "retry_policy"}
    both = {name for name in WorkflowComponent.model_fields if name in CurationComponent.model_fields}
    assert both >= {"name", "executor", "executor_for", "translation", "op", "hooks", "key_prefix", "deps", "tags"}


WRONG = {
    "no such file": ("workflow: nowhere.yaml", FILE, "Cannot read .*study0/nowhere.yaml"),
    "no workflow": ("workflow: nowhere", FILE, "workflow: 'nowhere' is neither a workflow file .* nor module:workflow"),
    "no module": ("workflow: nowhere:at_all", FILE, "workflow: cannot load 'nowhere:at_all'"),
    "its error": ("workflow: component_steps:wrong", FILE, "cannot be built: ValueError: no such mesh"),
    "no Workflow": ("workflow: component_steps:Design", FILE, "must be a Workflow"),
    "its entry": ("workflow: workflow.yaml", "stepz: []", "workflow.yaml: Unknown entry 'stepz'"),
    "its block": (
        "workflow: workflow.yaml",
        FILE.replace("Square", "Cube"),
        r"workflow.yaml: steps\[1\]: block: .*component_steps.Cube",
    ),
    "no folder": ("workflow: {steps: []}", FILE, "rootdir: the folder of jobs is needed"),
    "no steps": ("workflow: {steps: []}\nrootdir: x", FILE, "Workflow 'study': it has no step"),
    "mode": ("workflow: component_steps:made\nrootdir: x\nmode: slurm", FILE, "mode='slurm' needs a cluster"),
    "cluster": ("workflow: workflow.yaml\ncluster: {partitions: x}", FILE, "Unknown .*'partitions'"),
    "backend": ("workflow: workflow.yaml\nbackend: nowhere", FILE, "nowhere"),
    "key": ("workflow: workflow.yaml\ntranslation: {key: one}", FILE, "key_prefix stands before the keys"),
    "template": ("workflow: workflow.yaml", FILE.replace("env.UNIT", "env.NONE_SUCH"), "no environment variable"),
    "retries": (
        "workflow: workflow.yaml\nop: {retry_policy: {retries: 3}}",
        FILE,
        "Unknown setting of op: retry_policy 'retries'. Known: max_retries, backoff, delay, jitter.",
    ),
}


@pytest.mark.parametrize(("attributes", "file", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_setting_is_named_with_its_file(load, attributes, file, message):
    """The code location does not load, and says in which folder what is wrong."""
    with pytest.raises(Exception, match="study0") as caught:
        load(f"name: study\n{attributes}", file)
    said, error = "", cast("BaseException", caught.value)
    while error is not None:
        said, error = f"{said}{error}\n", error.__cause__
    assert re.search(f"In .*study0: .*{message}", said)


def test_what_is_scaffolded_runs(sandbox, monkeypatch):
    """A workflow named after the folder, whose steps are in a module beside it; files that are there stay."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    folder = sandbox.defs_folder_path / "2-my study"
    folder.mkdir()
    request = ScaffoldRequest("curator_dagster.WorkflowComponent", folder, "yaml", None, None)
    WorkflowScaffolder().scaffold(request)
    with (folder / "defs.yaml").open("a") as file:
        file.write("  backend: sequential\n")  # which is quick
    with sandbox.build_all_defs() as defs, DagsterInstance.ephemeral() as instance:
        settings = {"instance": instance, "run_config": QUIET}
        assert defs.resolve_job_def("_2_my_study_run").execute_in_process(**settings).success
        assert len(instance.get_dynamic_partitions("_2_my_study")) == 8
    sys.modules.pop("_2_my_study_steps")
    (folder / "workflow.yaml").write_text("mine")
    WorkflowScaffolder().scaffold(request)
    assert (folder / "workflow.yaml").read_text() == "mine"
