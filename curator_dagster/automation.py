"""When the dataset is merged by itself: an automation condition, and the sensor that evaluates it."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict, dataclass, replace

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
)

from curator_core.errors import EmptySourceError
from curator_dagster._compat import automated_instance, was_requested
from curator_dagster.curation import Curation
from curator_dagster.dataset import is_published
from curator_dagster.fanout import failing_clearly
from curator_dagster.sensor import list_anew, refresh_in_progress


def dataset_condition(curation: Curation) -> AutomationCondition[AssetKey]:
    """True when merging would publish something new: samples were updated, nothing is in progress, enough is there.

    Unlike Dagster's `eager`, it waits for no partition that is missing within ``max_missing``. It holds until
    the dataset is requested or up to date, so that it can be combined with other conditions. Being Python, it
    needs an `AutomationConditionSensorDefinition` with ``use_user_code_server=True``, as
    `dataset_automation` gives.
    """
    busy = AutomationCondition.in_progress() | AutomationCondition.any_deps_in_progress()
    return ~busy & PublicationDue(curation)


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
            f"{curation.name}_automation",
            target=AssetSelection.assets(curation.dataset_key),
            minimum_interval_seconds=interval_s,
            default_status=DefaultSensorStatus.RUNNING if is_started else DefaultSensorStatus.STOPPED,
            use_user_code_server=True,
            description=f"Merges {curation.dataset_key.to_user_string()} when its samples were updated.",
        )


@dataclass(frozen=True)
class _Seen:
    """What the condition knew when it last listed the source."""

    samples: int = 0
    """Number of the samples' latest materialization in the event log."""
    dataset: int = 0
    """The dataset's."""
    is_due: bool = False
    """Whether merging would publish something new."""


class PublicationDue(AutomationCondition[AssetKey]):
    """Whether merging would succeed and change the dataset; the source is listed once per update of the samples.

    Parameters
    ----------
    curation
        Whose dataset it is about.
    """

    def __init__(self, curation: Curation) -> None:
        self.curation = curation

    @property
    def name(self) -> str:
        return "publication_due"

    @property
    def description(self) -> str:
        return f"The samples of {self.curation.name} were updated, and merging them would change the dataset"

    def evaluate(self, context: AutomationContext[AssetKey]) -> AutomationResult[AssetKey]:
        """Decide, listing the source only when the samples or the dataset were updated since."""
        instance = automated_instance(context)
        seen = _Seen(**json.loads(context.cursor)) if context.cursor else _Seen()
        if was_requested(context):  # whatever becomes of that run: only an update is a reason for another
            seen = replace(seen, is_due=False)
        is_true = False
        if not context.candidate_subset.is_empty and refresh_in_progress(instance, self.curation.refresh_name) is None:
            samples = _latest(instance, self.curation.samples_key)
            dataset = _latest(instance, self.curation.dataset_key)
            if samples and (samples, dataset) != (seen.samples, seen.dataset):
                is_due = self._is_due(context, instance)
                seen = seen if is_due is None else _Seen(samples, dataset, is_due)
            is_true = seen.is_due
        true_subset = context.candidate_subset if is_true else context.get_empty_subset()
        return AutomationResult(context, true_subset, cursor=json.dumps(asdict(seen)))

    def _is_due(self, context: AutomationContext[AssetKey], instance: DagsterInstance) -> bool | None:
        """``None`` when the source lists nothing: to be looked at again."""
        curation = self.curation
        with failing_clearly():
            try:
                pipeline, listing = list_anew(curation)
            except EmptySourceError as exc:
                context.log.info(str(exc))
                return None
            plan = pipeline.plan(listing)
            if curation.tolerates(len(plan.due), len(listing)):
                return not is_published(instance, curation, pipeline, plan)
        context.log.info(
            "%d of %d items of %s are missing, more than max_missing=%s allows.",
            *(len(plan.due), len(listing), curation.name, curation.max_missing),
        )
        return False


def _latest(instance: DagsterInstance, asset: AssetKey) -> int:
    records = instance.fetch_materializations(asset, limit=1).records
    return records[0].storage_id if records else 0
