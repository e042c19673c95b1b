"""Run by an interpreter that has OmegaConf: makes settings, blocks and workflows of its configurations."""

import json
import sys
from typing import Any

from omegaconf import OmegaConf

from curator_core.errors import ConfigError
from curator_core.slurm import SlurmCluster, SlurmResources
from curator_core.workflow import Block, DataGenerator, Step, Workflow
from curator_core.workflow.config import read_workflow


class Thing(DataGenerator):
    """Keeps what it is made with."""

    def __init__(self, n=0, options=None):
        self.n, self.options = n, options

    def execute(self, experiment_sample, **kwargs):
        return experiment_sample


CONFIG = OmegaConf.create("""
user: me
n: 4
cluster:
  partition: long
  env_setup: [module load python, "export WHERE=/scratch/${user}"]
  env_vars: {OMP_NUM_THREADS: "${n}", HOME_OF: "${user}"}
  log_dir: logs/${user}
resources: {cpus_per_task: "${n}", extra_sbatch: {gres: "gpu:1"}}
block: {_target_: __main__.Thing, n: "${n}", options: {deep: [1, {user: "${user}"}]}}
call: {offset: "${n}"}
kwargs: {values: [1, 2], user: "${user}"}
whole:
  name: whole
  cluster: "${cluster}"
  steps: [{block: {_target_: __main__.Thing}, kwargs: "${call}", resources: "${resources}"}]
missing: {partition: "???"}
dangling: {partition: "${nowhere}"}
""")


def message(config):
    """What the error says."""
    try:
        SlurmCluster.from_yaml(config)
    except ConfigError as exc:
        return str(exc)
    return None


def kinds(*values):
    return [type(value).__name__ for value in values]


def main():
    cluster = SlurmCluster.from_yaml(CONFIG.cluster)
    mixed = SlurmCluster.from_yaml({"env_setup": CONFIG.cluster.env_setup, "env_vars": CONFIG.cluster.env_vars})
    resources = SlurmResources.from_yaml(CONFIG.resources)
    block: Any = Block.from_yaml(CONFIG.block, CONFIG.call)
    step = Step(block, kwargs=CONFIG.kwargs)
    found = read_workflow(CONFIG.whole, Workflow)
    (whole,) = found.workflow.steps
    said = {
        "cluster": {name: getattr(cluster, name) for name in ("partition", "env_setup", "env_vars", "log_dir")},
        "cluster_types": kinds(cluster.env_setup, cluster.env_vars),
        "in_a_mapping": [
            [*kinds(mixed.env_setup), mixed.env_setup[0]],
            [*kinds(mixed.env_vars), mixed.env_vars["OMP_NUM_THREADS"]],
        ],
        "resources": [resources.cpus_per_task, resources.extra_sbatch],
        "block": {"n": block.n, "options": block.options, "call": block.call_kwargs},
        "block_types": kinds(block.options, block.options["deep"], block.options["deep"][1], block.call_kwargs),
        "step": [*kinds(step.kwargs, step.kwargs["values"]), step.kwargs],
        "workflow": [
            *(found.workflow.name, type(whole.block).__name__, whole.kwargs),
            *(whole.resources.cpus_per_task, found.cluster.partition),
        ],
        "missing": message(CONFIG.missing),
        "dangling": message(CONFIG.dangling),
        "unknown": message({"user": CONFIG.user}),
    }
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    main()
