"""Types of the Dagster package's public names, as a user's type checker sees them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, assert_type

from dagster import AssetSpec, Definitions, ExecutorDefinition

from curator_core import Pipeline
from curator_core.testing import DatasetSink, NumbersSource
from curator_dagster import (
    CurationAssetProps,
    CurationSettings,
    CurationTranslator,
    MetricsStoreResource,
    build_curation_defs,
    curation_executor,
    partition_key,
)


def pipeline(folder: Path) -> Pipeline[int]:
    """Numbers in one file."""
    return NumbersSource(2).write(DatasetSink(str(folder / "all.json")))


class Lab(CurationTranslator):
    """Moves the assets of a curation under a prefix."""

    def get_asset_spec(self, props: CurationAssetProps) -> AssetSpec:
        """Its parts have types, too."""
        assert_type(props.asset, Literal["samples", "dataset"])
        assert_type(props.pipeline, Pipeline[Any])
        spec = super().get_asset_spec(props)
        return spec.replace_attributes(key=spec.key.with_prefix("lab"))


def test_definitions_of_a_curation(tmp_path: Path) -> None:
    """A pipeline, or a function that gives it; options have types."""
    made = build_curation_defs("numbers", pipeline(tmp_path), max_missing=0.1, schedule="0 3 * * *")
    assert_type(made, Definitions)
    assert_type(build_curation_defs("others", lambda: pipeline(tmp_path)), Definitions)
    assert_type(build_curation_defs(name="named", pipeline=pipeline(tmp_path), translator=Lab()), Definitions)
    assert_type(CurationSettings(max_missing=2).max_missing, int | float)
    assert_type(curation_executor(), ExecutorDefinition)
    assert_type(partition_key("a/b"), str)
    assert issubclass(MetricsStoreResource, object)

    def refused() -> None:
        build_curation_defs("numbers", lambda: 3)  # type: ignore[arg-type, return-value]
        build_curation_defs("numbers", pipeline(tmp_path), executor="dask")  # type: ignore[arg-type]
        build_curation_defs("numbers", pipeline(tmp_path), batch=3)  # type: ignore[call-arg]
        build_curation_defs("numbers", pipeline(tmp_path), translator=Lab)  # type: ignore[arg-type]

    assert callable(refused)
