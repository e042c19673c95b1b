"""A code location over the pipeline of a schedule; its folder comes from the environment."""

import os
import pickle
from pathlib import Path

from dagster import multiprocess_executor

from curator_dagster import build_curation_defs

FOLDER = Path(os.environ["SCHEDULE_FOLDER"])


def schedule_pipeline():
    return pickle.loads((FOLDER / "pipeline.pickle").read_bytes())


defs = build_curation_defs(
    "schedule", schedule_pipeline, max_missing=9, executor=multiprocess_executor.configured({"max_concurrent": 2})
)
