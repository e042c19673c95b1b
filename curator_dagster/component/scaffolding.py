"""What ``dg scaffold defs curator_dagster.CurationComponent NAME`` writes."""

from __future__ import annotations

import re
from typing import Any

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


class CurationScaffolder(Scaffolder[Any]):
    """Writes ``defs.yaml``, and the ``pipeline.yaml`` that it names."""

    def scaffold(self, request: ScaffoldRequest[Any]) -> None:
        """Write the files; an existing pipeline file stays."""
        folder = request.target_path.parent if request.append else request.target_path
        name = re.sub(r"\W", "_", folder.name, flags=re.ASCII)
        name = f"_{name}" if name[:1].isdigit() else name
        if request.scaffold_format == "yaml" and not request.append:
            text = _DEFS.format(type_name=request.type_name, name=name)
            publish_text(text, folder / "defs.yaml")
        else:
            scaffold_component(request, {"name": name, "pipeline": "pipeline.yaml"})
        pipeline = folder / "pipeline.yaml"
        if not pipeline.exists():
            publish_text(_PIPELINE.format(name=name), pipeline)
