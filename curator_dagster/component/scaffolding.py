"""What ``dg scaffold defs curator_dagster.CurationComponent NAME`` writes, and the same for a workflow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from dagster import Scaffolder, ScaffoldRequest
from dagster.components import scaffold_component

from curator_core.storage import publish_text

_DEFS = """\
type: {type_name}

attributes:
  # Prefix of the assets {name}/samples and {name}/dataset, and of the job {name}_refresh.
  name: {name}
  # What is done, in a file beside this one. Its entries may stand here instead, or module:factory.
  pipeline: pipeline.yaml
  # Carries the work: in_process, multiprocess (the default) or dask; with its configuration:
  # executor:
  #   multiprocess:
  #     max_concurrent: 4
  # Publish the dataset although this many items failed: a number, or a fraction below 1.
  # max_missing: 0.01
  # Remove the partitions of items that vanished from the source.
  # prune: true
"""

_PIPELINE = """\
# `curator components` lists the sources, filters and sinks there are, `curator components NAME` the parameters of one.
# module:Class names one of your own. Relative paths are relative to the folder that Dagster runs in.
curator: 1
source:
  component: ase_lmdb
  params:
    data_dir: data/{name}/input
filters:
- component: atomic_stats
  params:
    output: data/{name}/output/statistics.parquet
sink:
  component: atomic_data_zarr
  params:
    output_path: data/{name}/output/{name}.zarr
settings:
  # The record of every item, with its cost. Keep it: it says what need not be done again.
  db_file: data/{name}/metrics.db
"""


_WORKFLOW_DEFS = """\
type: {type_name}

attributes:
  # Prefix of the assets {name}/experiments and {name}/table, and of the job {name}_run.
  name: {name}
  # What is done, in a file beside this one. Its entries may stand here instead, or module:workflow.
  workflow: workflow.yaml
  # Folder of the workflow's tables, relative to the project.
  rootdir: studies
  # As jobs of a cluster:
  # mode: slurm
  # cluster: {{partition: batch, account: lab}}
"""

_WORKFLOW = """\
# One step after the other. module.Class names a block, module.function a function.
steps:
- block: {name}_steps.Design
- block: {name}_steps.Evaluation
  parallel: true
"""

_STEPS = """\
from curator_core.workflow import Block, DataGenerator, Domain, ExperimentData


class Design(Block):
    \"\"\"Eight experiments.\"\"\"

    def call(self, data, **kwargs):
        domain = Domain()
        domain.add_float("x", 0.0, 1.0)
        domain.add_output("y")
        return ExperimentData.from_sampling("latin", domain, n_samples=8, seed=1)


class Evaluation(DataGenerator):
    \"\"\"Is called for each experiment.\"\"\"

    def execute(self, experiment_sample, **kwargs):
        experiment_sample.store("y", experiment_sample.get("x") ** 2)
        return experiment_sample
"""


class _Scaffolder(Scaffolder[Any]):
    """Writes ``defs.yaml``, and the files that it names; those that are there stay."""

    names: ClassVar[Mapping[str, str]]
    """Setting and file that a component needs."""
    defs: ClassVar[str]
    """Text of ``defs.yaml``."""
    files: ClassVar[Mapping[str, str]]
    """Texts of the others."""

    def scaffold(self, request: ScaffoldRequest[Any]) -> None:
        """Write the files."""
        folder = request.target_path.parent if request.append else request.target_path
        name = re.sub(r"\W", "_", folder.name, flags=re.ASCII)
        name = f"_{name}" if name[:1].isdigit() else name
        if request.scaffold_format == "yaml" and not request.append:
            publish_text(self.defs.format(type_name=request.type_name, name=name), folder / "defs.yaml")
        else:
            scaffold_component(request, {"name": name, **self.names})
        for file, text in self.files.items():
            path = folder / file.format(name=name)
            if not path.exists():
                publish_text(text.format(name=name), path)


class CurationScaffolder(_Scaffolder):
    """Of a curation: its pipeline file."""

    names = MappingProxyType({"pipeline": "pipeline.yaml"})
    defs = _DEFS
    files = MappingProxyType({"pipeline.yaml": _PIPELINE})


class WorkflowScaffolder(_Scaffolder):
    """Of a workflow: its file, and a module with its steps."""

    names = MappingProxyType({"workflow": "workflow.yaml", "rootdir": "studies"})
    defs = _WORKFLOW_DEFS
    files = MappingProxyType({"workflow.yaml": _WORKFLOW, "{name}_steps.py": _STEPS})
