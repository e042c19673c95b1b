"""Types of the Dagster package's public names, as a user's type checker sees them."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

from dagster import Definitions, ExecutorDefinition

from curator_core import Pipeline
from curator_core.testing import DatasetSink, NumbersSource
from curator_dagster import MetricsStoreResource, build_curation_defs, curation_executor, partition_key


def pipeline(folder: Path) -> Pipeline[int]:
    """Numbers in one file."""
    return NumbersSource(2).write(DatasetSink(str(folder / "all.json")))


def test_definitions_of_a_curation(tmp_path: Path) -> None:
    """A pipeline, or a function that gives it; options have types."""
    made = build_curation_defs("numbers", pipeline(tmp_path), max_missing=0.1, schedule="0 3 * * *")
    assert_type(made, Definitions)
    assert_type(build_curation_defs("others", lambda: pipeline(tmp_path)), Definitions)
    assert_type(curation_executor(), ExecutorDefinition)
    assert_type(partition_key("a/b"), str)
    assert issubclass(MetricsStoreResource, object)

    def refused() -> None:
        build_curation_defs("numbers", pipeline)  # type: ignore[arg-type]
        build_curation_defs("numbers", pipeline(tmp_path), executor="dask")  # type: ignore[arg-type]
        build_curation_defs("numbers", pipeline(tmp_path), batch=3)  # type: ignore[call-arg]

    assert callable(refused)
