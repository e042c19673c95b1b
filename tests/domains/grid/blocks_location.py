"""A code location over files of blocks; its folder comes from the environment."""

import os
from pathlib import Path

from dagster import multiprocess_executor

from curator_core.domains.grid.sinks import GridZarrSink
from curator_dagster import build_curation_defs
from tests.domains.grid.blocks import BlocksSource

FOLDER = Path(os.environ["BLOCKS_FOLDER"])
AXES = {"time": {"start": "2020-01-01", "frequency": "6h"}}


def blocks_pipeline():
    sink = GridZarrSink(str(FOLDER / "d.zarr"), AXES, chunks={"time": 4}, shards={"time": 16})
    return BlocksSource(str(FOLDER / "input")).write(sink).with_settings(db_file=FOLDER / "run.db")


defs = build_curation_defs("blocks", blocks_pipeline, executor=multiprocess_executor.configured({"max_concurrent": 2}))
