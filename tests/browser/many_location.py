"""A code location with ten thousand items that take no time."""

import os
from pathlib import Path

from dagster import in_process_executor

from curator_core import Pipeline, Sink, Source
from curator_dagster import build_curation_defs


class Numbers(Source[int]):
    def __len__(self):
        return 10_000

    def __getitem__(self, index):
        yield index


class Nowhere(Sink[int]):
    def __call__(self, items, index):
        list(items)
        return []


def many_pipeline():
    return Pipeline(Numbers(), [], Nowhere(), db_file=Path(os.environ["NUMBERS_FOLDER"]) / "many.db")


defs = build_curation_defs("many", many_pipeline, executor=in_process_executor)
