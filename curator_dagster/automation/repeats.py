"""Runs that an automation requested and that were cut short: they are requested again, after growing pauses.

They may have been killed, or lost their database: then something is left that nobody tried.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import DagsterInstance, RunRecord, RunsFilter

REPEAT_AFTER_S = 30.0
"""Time from the end of a run that was cut short until it is requested again, seconds; each time twice as long."""
MAX_REPEAT_AFTER_S = 3600.0
"""The longest of these times, seconds."""


def failed_run(instance: DagsterInstance, runs: RunsFilter, *, sensor: str, judged: str) -> RunRecord | None:
    """The latest of some runs if that sensor requested it, and it failed in a way that was not looked into yet.

    Parameters
    ----------
    instance
        Where it is recorded.
    runs
        The latest of these.
    sensor
        Who must have requested it: somebody else looks after what they launched.
    judged
        The run of which it is known that it left nothing.
    """
    records = instance.get_run_records(runs, limit=1)
    if not records:
        return None
    run = records[0].dagster_run
    is_own = run.tags.get("dagster/sensor_name") == sensor
    return records[0] if is_own and run.is_failure and run.run_id != judged else None


def pause_s(failed: RunRecord, n_repeats: int) -> float:
    """Time until a failed run is requested again, seconds; negative when that is over."""
    ended = failed.end_time or failed.update_timestamp.timestamp()
    # The exponent is bounded, as a float is.
    return ended + min(REPEAT_AFTER_S * 2.0 ** min(n_repeats, 32), MAX_REPEAT_AFTER_S) - time.time()
