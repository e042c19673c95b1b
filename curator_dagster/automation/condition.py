"""When the dataset is merged by itself: an automation condition, and the sensor that evaluates it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from dagster import (
    AssetKey,
    AssetSelection,
    AutomationCondition,
    AutomationConditionSensorDefinition,
    AutomationContext,
    AutomationResult,
    BetaWarning,
    DagsterInstance,
    DefaultSensorStatus,
    RunsFilter,
)

from curator_core.errors import EmptySourceError
from curator_dagster._compat.automation import automated_asset, automated_instance, child_result, was_requested
from curator_dagster.automation.repeats import failed_run, pause_s
from curator_dagster.automation.sensor import list_anew, refresh_in_progress
from curator_dagster.curation.curation import Curation
from curator_dagster.curation.failing import failing_clearly
from curator_dagster.curation.resources import set_up
from curator_dagster.steps.dataset import is_published


def dataset_condition(curation: Curation) -> AutomationCondition[AssetKey]:
    """True when merging would publish something new: samples were updated, nothing is in progress, enough is there.

    Unlike Dagster's `eager`, it waits for no partition that is missing within ``max_missing``. It holds until
    the dataset is requested or up to date, so that it can be combined with other conditions. Being Python, it
    needs an `AutomationConditionSensorDefinition` with ``use_user_code_server=True``, as
    `dataset_automation` gives.
    """
    return PublicationDue(curation)


def dataset_automation(
    curation: Curation, *, interval_s: int | None = None, is_started: bool = False
) -> AutomationConditionSensorDefinition:
    """The sensor ``{name}_automation``, which merges the dataset when its condition says so.

    Parameters
    ----------
    curation
        Whose dataset it looks after.
    interval_s
        Seconds between two evaluations, at least; 30 by default.
    is_started
        It runs from the moment it is loaded; otherwise somebody turns it on.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BetaWarning)  # use_user_code_server: there is no other way for Python
        return AutomationConditionSensorDefinition(
            automation_name(curation),
            target=AssetSelection.assets(curation.dataset_key),
            minimum_interval_seconds=interval_s,
            default_status=DefaultSensorStatus.RUNNING if is_started else DefaultSensorStatus.STOPPED,
            use_user_code_server=True,
            run_tags=curation.run_tags,
            description=f"Merges {curation.dataset_key.to_user_string()} when its samples were updated.",
        )


def automation_name(curation: Curation) -> str:
    """Name of that sensor."""
    return f"{curation.name}_automation"


@dataclass(frozen=True)
class _Seen:
    """What the condition knew when it last listed the source."""

    samples: int = 0
    """Number of the samples' latest materialization in the event log."""
    dataset: int = 0
    """The dataset's."""
    is_due: bool = False
    """Whether merging would publish something new."""
    n_repeats: int = 0
    """How often the same was requested again."""
    judged: str = ""
    """The latest run that was looked into after it failed."""


class PublicationDue(AutomationCondition[AssetKey]):
    """Whether merging would succeed and change the dataset; the source is listed once per update of the samples.

    Parameters
    ----------
    curation
        Whose dataset it is about.
    """

    def __init__(self, curation: Curation) -> None:
        self.curation = curation
        self._idle = ~(AutomationCondition.in_progress() | AutomationCondition.any_deps_in_progress())

    @property
    def name(self) -> str:
        return "publication_due"

    @property
    def description(self) -> str:
        return f"The samples of {self.curation.name} were updated, and merging them would change the dataset"

    @property
    def children(self) -> Sequence[AutomationCondition[Any]]:
        return [self._idle]

    async def evaluate(  # type: ignore[override]  # Dagster awaits it, as it does its own
        self, context: AutomationContext[AssetKey]
    ) -> AutomationResult[AssetKey]:
        """Decide, what is cheap first: what is in progress, then the source, matter only after an update."""
        instance = automated_instance(context)
        seen = _Seen(**json.loads(context.cursor)) if context.cursor else _Seen()
        if was_requested(context):
            seen = replace(seen, is_due=False)
        samples = _latest(instance, self.curation.samples_key)
        dataset = _latest(instance, self.curation.dataset_key)
        is_updated = bool(samples) and (samples, dataset) != (seen.samples, seen.dataset)
        failed = None if is_updated or seen.is_due or not seen.samples else self._failed(instance, seen)
        true_subset, child_results = context.get_empty_subset(), []
        if (
            (is_updated or seen.is_due or failed is not None)
            and not context.candidate_subset.is_empty
            and refresh_in_progress(instance, self.curation.refresh_name) is None
        ):
            idle = await child_result(context, self._idle)
            child_results = [idle]
            if (is_updated or failed is not None) and not idle.true_subset.is_empty:
                is_due = self._is_due(context, instance)
                known = (0, seen.judged) if failed is None else (seen.n_repeats + 1, failed)
                seen = replace(seen, is_due=False) if is_due is None else _Seen(samples, dataset, is_due, *known)
            if seen.is_due:
                true_subset = idle.true_subset
        return AutomationResult(context, true_subset, cursor=json.dumps(asdict(seen)), child_results=child_results)

    def _failed(self, instance: DagsterInstance, seen: _Seen) -> str | None:
        """The run that this condition requested last, if it failed some time ago: it may have been killed."""
        sensor = automation_name(self.curation)
        own = RunsFilter(tags={"dagster/sensor_name": sensor})
        failed = failed_run(instance, own, sensor=sensor, judged=seen.judged)
        return None if failed is None or pause_s(failed, seen.n_repeats) > 0 else failed.dagster_run.run_id

    def _is_due(self, context: AutomationContext[AssetKey], instance: DagsterInstance) -> bool | None:
        """``None`` when the source lists nothing: to be looked at again."""
        with failing_clearly(), set_up(self.curation, lambda: automated_asset(context), instance) as curation:
            try:
                session = list_anew(curation)
            except EmptySourceError as exc:
                context.log.info(str(exc))
                return None
            with session:
                n_due, n_items = len(session.plan.due), len(session.listing)
                if curation.tolerates(n_due, n_items):
                    return not is_published(instance, curation, session)
        context.log.info(
            "%d of %d items of %s are missing, more than max_missing=%s allows.",
            *(n_due, n_items, self.curation.name, self.curation.max_missing),
        )
        return False


def _latest(instance: DagsterInstance, asset: AssetKey) -> int:
    records = instance.fetch_materializations(asset, limit=1).records
    return records[0].storage_id if records else 0
