"""The numbers' code location with sensors that look as often as the daemon lets them."""

import os
import sys
from pathlib import Path

from dagster import (
    AssetSelection,
    AutomationCondition,
    AutomationConditionSensorDefinition,
    DefaultSensorStatus,
    Definitions,
    asset,
    in_process_executor,
)

from curator_dagster import build_curation_defs

sys.path.insert(0, str(Path(__file__).parent))
from numbers_location import numbers_pipeline

defs = build_curation_defs(
    "numbers",
    numbers_pipeline,
    executor=in_process_executor,
    watch=os.environ.get("NUMBERS_WATCH") != "0" and 1,
    start_automation=os.environ.get("NUMBERS_START") == "1",
    max_missing=1,
)


@asset(deps=[["numbers", "samples"], ["numbers", "dataset"]], automation_condition=AutomationCondition.eager())
def report():
    """Downstream of both, launched by Dagster."""


if os.environ.get("NUMBERS_REPORT") == "1":
    reports = AutomationConditionSensorDefinition(
        "reports",
        target=AssetSelection.assets(report),
        default_status=DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=1,
    )
    defs = Definitions.merge(defs, Definitions(assets=[report], sensors=[reports]))
