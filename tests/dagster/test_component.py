"""A curation from a ``defs.yaml``, in a project that Dagster's own ``dg`` scaffolds, checks and runs."""

import importlib
import inspect
import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from dagster import (
    AssetKey,
    Backoff,
    DagsterInvalidDefinitionError,
    Definitions,
    RetryPolicy,
    ScaffoldRequest,
    in_process_executor,
    multiprocess_executor,
)
from dagster.components.testing import create_defs_folder_sandbox

import curator_dagster
from curator_core import SplitByGroup
from curator_core.errors import ConfigError
from curator_dagster import CurationComponent, build_curation_defs
from curator_dagster.component.scaffolding import CurationScaffolder
from curator_dagster.curation.located import curations_in
from curator_dagster.executors.choice import named_executor

# How Dagster 1.13 reads a defs.yaml.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.parse_obj_as. is deprecated"),
    pytest.mark.filterwarnings("ignore:.* is currently in beta"),
]

PYPROJECT = """
[project]
name = "my-project"
version = "0.1.0"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "my_project"
"""

DEFINITIONS = """
from pathlib import Path
from dagster import definitions, load_from_defs_folder

@definitions
def defs():
    return load_from_defs_folder(path_within_project=Path(__file__).parent)
"""

PIPELINE = """
source: {{component: numbers_location:NumberFiles, params: {{folder: {folder}/input}}}}
filters:
- {{component: numbers_location:Sum, params: {{output: {folder}/output/sum.json}}}}
sink: {{component: numbers_location:NumbersDataset, params: {{output: {folder}/output/numbers.json}}}}
settings: {{db_file: {folder}/metrics.db}}
"""


DIVIDED = PIPELINE.replace("{{db_file", "{{split: {{by: group, pattern: '^.'}}, db_file")


@dataclass
class DgProject:
    """A `dg` project around a folder of numbers."""

    folder: Path
    environment: dict[str, str]

    @property
    def defs(self):
        return self.folder / "src" / "my_project" / "defs"

    def dg(self, *words, status=0):
        """Run `dg`; returns what it printed."""
        done = subprocess.run(
            [str(Path(sys.executable).with_name("dg")), *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == status, done.stdout
        return done.stdout


@pytest.fixture
def dg_project(project):
    folder = project.folder / "my-project"
    package = folder / "src" / "my_project"
    (package / "defs").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (package / "__init__.py").touch()
    (package / "definitions.py").write_text(DEFINITIONS)
    paths = [str(folder / "src"), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    home = {"HOME": str(project.folder), "DG_CLI_NO_UPDATE_CHECK": "1"}
    return DgProject(folder, project.environment | home | {"PYTHONPATH": os.pathsep.join(paths)})


def test_a_refresh_of_a_curation_from_yaml(project, dg_project):
    """`dg` launches the job, which fills the instance; a wrong attribute it shows with its line.

    The page of the documentation is followed with all of `dg` from scaffolding on.
    """
    pytest.importorskip("dagster_dg_cli")
    folder = dg_project.defs / "my_data"
    folder.mkdir()
    (folder / "pipeline.yaml").write_text(PIPELINE.format(folder=project.folder))
    written = "type: curator_dagster.CurationComponent\nattributes:\n  name: my_data\n  pipeline: pipeline.yaml\n"
    (folder / "defs.yaml").write_text(f"{written}  executor: in_process\n")
    dg_project.dg("launch", "--job", "my_data_refresh")
    assert project.dataset() == {"a.txt": [1, 2], "b.txt": [3], "c.txt": [4, 5, 6], "d.txt": [7]}
    with project.instance() as instance:
        assert len(instance.get_materialized_partitions(AssetKey(["my_data", "samples"]))) == 4
    (folder / "defs.yaml").write_text(f"{written}  prun: true\n")
    assert "defs.yaml:5 - curator_dagster.CurationComponent attributes" in dg_project.dg("check", "yaml", status=1)


def test_what_is_scaffolded_loads():
    """Both files together make a curation named after the folder, and a pipeline file that is there stays."""
    pytest.importorskip("ase_db_backends")
    with create_defs_folder_sandbox() as sandbox:
        folder = sandbox.defs_folder_path / "2-my data"
        folder.mkdir()
        request = ScaffoldRequest("curator_dagster.CurationComponent", folder, "yaml", None, None)
        CurationScaffolder().scaffold(request)
        with sandbox.build_all_defs() as defs:
            assert defs.resolve_job_def("_2_my_data_refresh")
        (folder / "pipeline.yaml").write_text("mine")
        CurationScaffolder().scaffold(request)
        assert (folder / "pipeline.yaml").read_text() == "mine"


def test_dg_finds_the_component_and_loads_nothing_heavy_for_it(dg_project):
    """`dg` looks at every public name of the package: none of them may need Dask, or take it along."""
    check = (
        "import sys; sys.modules.update(dict.fromkeys(['distributed', 'dagster_dask', 'dagster_graphql']));"
        "from curator_dagster import build_curation_defs; assert not {'numpy', 'sqlalchemy'} & set(sys.modules);"
        "from dagster.components.core.package_entry import discover_entry_point_package_objects as found;"
        "names = {(key.namespace, key.name) for key in found()};"
        "assert ('curator_dagster', 'CurationComponent') in names, names;"
        "print({'dask', 'pandas', 'matplotlib', 'zarr'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", check]
    done = subprocess.run(command, env=dg_project.environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "set()\n"), done.stderr


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Function that loads definitions from the attributes of one or several curations."""
    monkeypatch.setenv("NUMBERS_FOLDER", str(tmp_path))
    monkeypatch.syspath_prepend(Path(__file__).parent)
    with create_defs_folder_sandbox() as sandbox:

        def loaded(*attributes, pipeline=None, component="curator_dagster.CurationComponent"):
            for number, text in enumerate(attributes):
                folder = sandbox.defs_folder_path / f"data{number}"
                folder.mkdir(exist_ok=True)
                (folder / "pipeline.yaml").write_text((pipeline or PIPELINE).format(folder=tmp_path))
                body = textwrap.indent(textwrap.dedent(text), "  ")
                (folder / "defs.yaml").write_text(f"type: {component}\nattributes:\n{body}\n")
            with sandbox.build_all_defs() as defs:
                return defs

        yield loaded


@pytest.mark.parametrize(
    "pipeline",
    [
        "pipeline: pipeline.yaml",
        "pipeline: numbers_location:numbers_pipeline",
        """
        pipeline:
          source: {component: numbers_location:NumberFiles, params: {folder: "{{ env.NUMBERS_FOLDER }}/input"}}
          sink: {component: numbers_location:NumbersDataset, params: {output: "007"}}
        """,
    ],
    ids=["file", "factory", "inline"],
)
def test_a_pipeline_is_a_file_a_factory_or_stands_inline(load, pipeline):
    """All three give the same definitions, and nothing is listed: the folder is not there."""
    defs = load(f"name: numbers\n{textwrap.dedent(pipeline)}")
    keys = {key.to_user_string() for key in defs.resolve_all_asset_keys()}
    assert keys == {"numbers/samples", "numbers/dataset"}
    assert defs.resolve_job_def("numbers_refresh").partitions_def is None


def test_quoted_text_of_an_inline_pipeline_stays_text(monkeypatch):
    """A template is filled in; what only looks like a number is left alone."""
    monkeypatch.setenv("RELEASE", "v2")
    inline = {"source": {"component": "x", "params": {"folder": "{{ env.RELEASE }}/in", "years": ["007", 7]}}}
    built = CurationComponent.from_attributes_dict(attributes={"name": "numbers", "pipeline": inline})
    assert built.pipeline == {"source": {"component": "x", "params": {"folder": "v2/in", "years": ["007", 7]}}}


def test_several_curations_make_one_code_location(load):
    """The default executor, and one that two of them name alike, stands in no one's way."""
    defs = load("name: one\npipeline: pipeline.yaml", "name: two\npipeline: pipeline.yaml\nexecutor: multiprocess")
    assert {job.name for job in defs.jobs} == {"one_refresh", "one_retry", "two_refresh", "two_retry"}
    configured = "pipeline: pipeline.yaml\nexecutor: {multiprocess: {max_concurrent: 3}}"
    defs = load(f"name: one\n{configured}", f"name: two\n{configured}")
    assert defs.executor is named_executor("multiprocess", {"max_concurrent": 3})


def refusal(load, attributes, **given):
    """What is said when a code location does not load, causes included."""
    with pytest.raises(Exception, match="data0") as caught:
        load(f"name: numbers\n{attributes}", **given)
    said, error = "", cast("BaseException", caught.value)
    while error is not None:
        said, error = f"{said}{type(error).__name__}: {error}\n", error.__cause__
    return said


WRONG = {
    "no such file": ("pipeline: nowhere.yaml", "Cannot read .*data0/nowhere.yaml"),
    "no pipeline": ("pipeline: nowhere", "pipeline: 'nowhere' is neither a pipeline file .* nor module:factory"),
    "no module": ("pipeline: nowhere:at_all", "pipeline: cannot load 'nowhere:at_all': No module named 'nowhere'"),
    "no factory": ("pipeline: numbers_location:FOLDER", "'numbers_location:FOLDER' must be a function"),
    "no source": ("pipeline: {sink: x}", "pipeline: a pipeline needs a source"),
    "component": ("pipeline: {source: nothing}", "pipeline: source|Unknown component 'nothing'. Known: .*ase_lmdb"),
    "executor": ("pipeline: pipeline.yaml\nexecutor: dusk", "Unknown executor 'dusk'. Known: dask"),
    "its setting": ("pipeline: pipeline.yaml\nexecutor: {multiprocess: {max: 2}}", "'max'. Known: max_concurrent"),
    "its value": ("pipeline: pipeline.yaml\nexecutor: {in_process: {retries: 5}}", "executor 'in_process': .*retries"),
    "two executors": ("pipeline: pipeline.yaml\nexecutor: {in_process: , dask: }", "executor: one of them is needed"),
    "batch size": ("pipeline: pipeline.yaml\nbatch_size: 0", "batch_size must be at least 1"),
    "checks": ("pipeline: pipeline.yaml\nchecks: [completeneszs]", "completeneszs"),
    "tolerance": ("pipeline: pipeline.yaml\nmax_missing: 1.5", "max_missing must be a number of items or a fraction"),
}


@pytest.mark.parametrize(("attributes", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_setting_is_named_with_its_file(load, attributes, message):
    """The code location does not load, and says in which folder which setting is wrong."""
    assert re.search(f"DagsterInvalidDefinitionError: In .*data0: .*({message})", refusal(load, attributes))


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        (PIPELINE.replace("sink:", "sunk:"), "pipeline.yaml: unknown entry sunk"),
        (PIPELINE.replace("output/sum", "x").replace("output:", "outputs:", 1), "Sum has no parameter 'outputs'"),
        (PIPELINE.replace("sink:", "#"), "it has no sink"),
        (PIPELINE.replace("folder: {folder}/input", "folder: 5"), r"folder must be str, not 5"),
        (
            DIVIDED.replace("by: group", "by: grope"),
            r"pipeline.yaml: settings.split: Unknown rule 'grope'",
        ),
    ],
    ids=["entry", "parameter", "no sink", "value", "split"],
)
def test_a_wrong_pipeline_file_is_named_with_its_entry(load, pipeline, message):
    """What the file has wrong is said when the code location loads, not when a run starts."""
    said = refusal(load, "pipeline: pipeline.yaml", pipeline=pipeline)
    assert re.search(f"DagsterInvalidDefinitionError: In .*data0: .*{message}", said)


def test_unknown_and_mistyped_attributes_are_named(load):
    """Dagster checks them against the component's fields."""
    assert re.search(r"pipelne(.|\n)*(Extra inputs|Additional)", refusal(load, "pipelne: pipeline.yaml"))
    assert re.search(r"prune.*\n.*valid bool", refusal(load, "pipeline: pipeline.yaml\nprune: [1]"))
    assert re.search(r"batch_size\n.*valid integer", refusal(load, "pipeline: pipeline.yaml\nbatch_size: many"))


TRANSLATION = """
name: numbers
pipeline: pipeline.yaml
translation:
  key_prefix: lab
  owners: [lab@example.org]
  tags: {curation: "{{ props.name }}", asset: "{{ props.asset }}"}
  description: "{{ spec.description }} In {{ props.pipeline.sink.output_path }}."
  code_version: "2"
"""


def test_a_translation_gives_attributes_of_both_assets(load, tmp_path):
    """As in Dagster's own components: a key or its prefix, templates of the asset; the rest stays."""
    defs = load(TRANSLATION)
    specs = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
    assert set(specs) == {"lab/numbers/samples", "lab/numbers/dataset"}
    dataset = specs["lab/numbers/dataset"]
    assert [dep.asset_key.to_user_string() for dep in dataset.deps] == ["lab/numbers/samples"]
    assert (dataset.owners, dataset.code_version) == (["lab@example.org"], "2")
    assert dataset.tags == {"curation": "numbers", "asset": "dataset"}
    assert dataset.description.startswith("All completed samples, merged and published atomically.")
    assert dataset.description.endswith(f" In {tmp_path}/output/numbers.json.")
    assert dataset.automation_condition is not None
    assert refusal(load, "pipeline: pipeline.yaml\ntranslation: {key: one}").count("both get the key one")


SUBCLASS = """
from curator_dagster import CurationComponent

class Kinds(CurationComponent):
    def get_asset_spec(self, props):
        return super().get_asset_spec(props).replace_attributes(kinds={props.asset})
"""


def test_a_subclass_gives_specs(load, tmp_path, monkeypatch):
    """A component's `get_asset_spec` is overridden as in Dagster's own components, and goes with a translation."""
    (tmp_path / "kinds_component.py").write_text(SUBCLASS)
    monkeypatch.syspath_prepend(tmp_path)
    defs = load(TRANSLATION, component="kinds_component.Kinds")
    kinds = {spec.key.path[-1]: spec.kinds for spec in defs.resolve_all_asset_specs()}
    assert kinds == {"samples": {"samples"}, "dataset": {"dataset"}}


OP = """
name: numbers
pipeline: pipeline.yaml
executor: in_process
executor_for: jobs
key_prefix: [lake, raw]
tags: {team: "{{ 'x' * 2 }}", limits: {cpu: 2}}
hooks: [numbers_hooks.told]
op:
  tags: {dagster-k8s/config: {job_spec_config: {ttl: 7}}, node: "007"}
  pool: {process: gpu, dataset: disk}
  retry_policy: {max_retries: 3, delay: 10, backoff: exponential}
  backfill_policy: {type: multi_run, max_partitions_per_run: 9}
"""
HOOKS = """
from dagster import failure_hook

@failure_hook
def told(context): ...
"""


def test_ops_and_runs_are_set_from_yaml(load, tmp_path, monkeypatch):
    """By the names of Dagster's own components, with templates; what is wrong is named with its place."""
    (tmp_path / "numbers_hooks.py").write_text(HOOKS)
    monkeypatch.syspath_prepend(tmp_path)
    defs = load(OP)
    samples, dataset = defs.assets
    assert samples.key == AssetKey(["lake", "raw", "numbers", "samples"])
    assert samples.backfill_policy.max_partitions_per_run == 9
    job = defs.resolve_job_def("numbers_refresh")
    (process,) = [node.definition for node in job.graph.nodes if node.name == "numbers_process"]
    assert (process.pool, dataset.op.pool, process.tags["node"]) == ("gpu", "disk", "007")
    assert process.tags["dagster-k8s/config"] == '{"job_spec_config": {"ttl": 7}}'
    assert process.retry_policy == RetryPolicy(max_retries=3, delay=10, backoff=Backoff.EXPONENTIAL)
    assert job.run_tags == {"team": "xx", "limits": '{"cpu": 2}', "curator/curation": "numbers"}
    assert [hook.name for hook in samples.hook_defs] == ["told"]
    assert defs.executor is None
    wrong = "pipeline: pipeline.yaml\nop: {retry_policy: %s}"
    assert "Unknown setting of op: retry_policy 'retries'" in refusal(load, wrong % "{retries: 3}")
    assert "Unknown backoff of op: retry_policy 'cubic'" in refusal(load, wrong % "{delay: 1, backoff: cubic}")
    assert refusal(load, "pipeline: pipeline.yaml\nop: {name: mine}").count("Extra inputs")
    assert "key_prefix 'a/b' has a slash" in refusal(load, "pipeline: pipeline.yaml\nkey_prefix: a/b")


def test_settings_are_those_of_build_curation_defs():
    """Same names, same defaults: nothing can be set in YAML that the function does not know, nor the reverse."""
    known = inspect.signature(build_curation_defs).parameters
    fields = dict(CurationComponent.model_fields)
    assert fields.pop("translation").default is None  # what YAML has in place of a translator
    assert fields.pop("op").default is None  # which holds four settings of ops
    for name, field in fields.items():
        assert name in known
        assert field.is_required() == (known[name].default is inspect.Parameter.empty)
        assert field.is_required() or field.default == known[name].default
    assert set(known) - set(fields) == {"translator", "op_tags", "pool", "retry_policy", "backfill_policy"}


def test_executors_have_names():
    """An executor of one name and configuration is always the same; the names are Dagster's."""
    assert named_executor("in_process").name == in_process_executor.name
    assert named_executor("multiprocess", {"preload": ["json"]}).name == multiprocess_executor.name
    assert named_executor("in_process") is named_executor("in_process", {})
    with pytest.raises(ConfigError, match="Unknown executor 'thread'"):
        named_executor("thread")


@pytest.mark.skipif("dask_executor" not in dir(curator_dagster), reason="there is no executor on Dask")
def test_the_executor_on_dask_has_a_name():
    """It takes its configuration from the file."""
    assert named_executor("dask", {"cluster": {"existing": {"address": "tcp://127.0.0.1:1"}}}).name


GUARDED = """
source:
  component: catalogue_location:Guarded
  params: {{folder: "{{{{ project_root }}}}/{{{{ env.LAB_INPUT }}}}", token: "{{{{ env.LAB_TOKEN }}}}"}}
sink: {{component: numbers_location:NumbersDataset, params: {{output: "{folder}/{{{{ env('LAB_NAME', 'n') }}}}.json"}}}}
settings: {{db_file: "{{{{ env.LAB_DB }}}}"}}
"""


def test_templates_stand_in_the_pipeline_file(load, tmp_path, monkeypatch):
    """They know the environment and the project; texts stay texts, though a token reads as a number.

    A token is no part of the configuration, as one that is given by its variable.
    """
    monkeypatch.syspath_prepend(Path(__file__).parent)
    for name, value in {"INPUT": "in", "TOKEN": "1e5", "DB": str(tmp_path / "m.db")}.items():
        monkeypatch.setenv(f"LAB_{name}", value)
    written = """
    name: "lab_{{ env.LAB_INPUT }}"
    pipeline: pipeline.yaml
    group_name: "{{ env('LAB_GROUP', 'chemistry') }}"
    schedule: "{{ env('LAB_CRON', '@daily') }}"
    """
    first = curation_of(load(written, pipeline=GUARDED))
    pipeline = first.open_pipeline()
    assert (first.name, first.group_name, first.schedule) == ("lab_in", "chemistry", "@daily")
    assert pipeline.source.arguments["token"] == "1e5"
    assert pipeline.source.arguments["folder"].endswith("/in")
    assert Path(pipeline.source.arguments["folder"]).is_absolute()
    assert pipeline.sink.output_path == f"{tmp_path}/n.json"
    assert str(pipeline.db_path) == str(tmp_path / "m.db")
    monkeypatch.setenv("LAB_TOKEN", "other")
    assert curation_of(load(written, pipeline=GUARDED)).open_pipeline().config_hash == pipeline.config_hash
    by_variable = GUARDED.replace('"{{{{ env.LAB_TOKEN }}}}"', "{{$env: LAB_TOKEN}}")
    assert by_variable != GUARDED
    assert curation_of(load(written, pipeline=by_variable)).open_pipeline().config_hash == pipeline.config_hash


def test_the_rule_of_splits_is_that_of_the_pipeline(load):
    """In its file, as in Python; it changes no configuration."""
    divided, plain = (
        curation_of(load("name: numbers\npipeline: pipeline.yaml", pipeline=text)).open_pipeline()
        for text in (DIVIDED, PIPELINE)
    )
    assert (divided.split, plain.split) == (SplitByGroup(pattern="^."), None)
    assert divided.config_hash == plain.config_hash


def curation_of(defs):
    (found,) = curations_in(defs).values()
    return found


@pytest.mark.parametrize(
    ("attributes", "pipeline", "message"),
    [
        ("pipeline: pipeline.yaml", GUARDED, r"pipeline\.yaml\.source\.params\.folder: .* no environment variable"),
        (
            'pipeline: pipeline.yaml\nname: "{{ env.LAB_INPUT }}_x"',
            None,
            "name: .* no environment variable 'LAB_INPUT'",
        ),
        ('pipeline: pipeline.yaml\ngroup_name: "a{{ unknown }}"', None, "group_name: .* 'unknown' is undefined"),
        ('pipeline: pipeline.yaml\ngroup_name: "{{ 1 + }}"', None, "group_name: .* cannot be filled in"),
    ],
    ids=["pipeline file", "name", "unknown", "syntax"],
)
def test_a_template_that_cannot_be_filled_in_is_named(load, monkeypatch, attributes, pipeline, message):
    """With its setting: neither the text None, nor nothing in the middle of a path."""
    monkeypatch.delenv("LAB_INPUT", raising=False)
    assert re.search(message, refusal(load, attributes, pipeline=pipeline))


def test_a_secret_of_the_environment_is_recorded_nowhere(load, monkeypatch):
    """A parameter that is not marked as one is refused, with the variable's name and without its value."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    for name, value in {"INPUT": "in", "TOKEN": "abc-12345", "DB": "m.db"}.items():
        monkeypatch.setenv(f"LAB_{name}", value)
    load("name: numbers\npipeline: pipeline.yaml", pipeline=GUARDED)
    recorded = GUARDED.replace("env('LAB_NAME', 'n')", "env.LAB_TOKEN")
    said = refusal(load, "pipeline: pipeline.yaml", pipeline=recorded)
    assert "pipeline: NumbersDataset(output=…) is given the variable 'LAB_TOKEN', which is a secret by its name" in said
    assert "abc-12345" not in said


def test_a_factory_takes_the_resources_of_the_project(load, monkeypatch):
    """As one that Python names; without them the location says what is missing."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    made = load("name: numbers\npipeline: catalogue_location:guarded_pipeline")
    with pytest.raises(
        DagsterInvalidDefinitionError, match=r"factory catalogue_location\.guarded_pipeline of curation"
    ):
        Definitions.validate_loadable(made)
    catalogue = importlib.import_module("catalogue_location").Catalogue(folder="", token="")
    others = Definitions(resources={"catalogue": catalogue, "suffix": "x"})
    Definitions.validate_loadable(Definitions.merge(made, others))
