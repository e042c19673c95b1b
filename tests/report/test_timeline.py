"""Times of a report: pauses left out, busy time per bin, quantiles per bin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator_core.report.quantities import duration, rate, shortened, size, time_unit
from curator_core.report.run_data import ITEM
from curator_core.report.timeline import Timeline, busy_seconds, grouped


def items(*ends_and_walls):
    return np.array([(end, wall, 0.0, False, 0) for end, wall in ends_and_walls], dtype=ITEM)


def test_a_night_between_two_runs_is_left_out():
    """A resumed run has one time axis without the pause."""
    timeline = Timeline.of(items((10.0, 10.0), (20.0, 10.0), (50_010.0, 10.0), (50_030.0, 15.0)))
    assert timeline.active_s == 50.0
    assert timeline.pauses_s.tolist() == [49_980.0]
    assert timeline.seams_s.tolist() == [20.0]
    assert timeline.active(np.array([0.0, 20.0, 30_000.0, 50_000.0, 50_030.0])).tolist() == [0, 20, 20, 20, 50]


def test_short_waits_stay():
    """Waiting that is a small part of the run, and overlapping items, are no pauses."""
    timeline = Timeline.of(items((100.0, 100.0), (60.0, 5.0), (140.0, 20.0)))
    assert timeline.active_s == 140.0
    assert len(timeline.pauses_s) == 0


def test_single_item_without_duration():
    """The smallest run has a timeline."""
    assert Timeline.of(items((5.0, 0.0))).active_s == 0.0


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20), st.integers(1, 40))
def test_busy_seconds_lose_nothing(waits_and_costs, n_bins):
    """However the bins lie, busy time sums to the items' time, and no bin holds more than its length."""
    starts, ends, now = [], [], 0.0
    for wait, cost in waits_and_costs:
        starts.append(now + wait)
        ends.append(now + wait + cost)
        now = ends[-1]
    edges = np.linspace(0, max(now, 1), n_bins + 1)
    busy = busy_seconds(np.array(starts), np.array(ends), edges)
    assert busy.sum() == pytest.approx(sum(cost for _, cost in waits_and_costs))
    assert (busy <= np.diff(edges) * (1 + 1e-9)).all()
    assert (busy >= 0).all()


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.integers(0, 4)), min_size=1), st.sampled_from([0.0, 0.5, 1.0]))
def test_quantiles_of_bins(values_and_bins, quantile):
    """Each bin's quantile is NumPy's of its values, NaN where there are none."""
    values, bins = (np.array(column) for column in zip(*values_and_bins, strict=True))
    found = grouped(values, bins, 5, quantile)
    for k in range(5):
        chosen = values[bins == k]
        wanted = np.quantile(chosen, quantile, method="lower") if len(chosen) else np.nan
        assert found[k] == wanted or (np.isnan(found[k]) and np.isnan(wanted))


def test_quantities_in_words():
    """Numbers fit their units."""
    shown = [duration(s) for s in (0.000_35, 12.34, 200, 7500, 273_600)]
    assert shown == ["0.35 ms", "12.3 s", "3 min 20 s", "2 h 05 min", "3 d 4 h"]
    assert [size(b) for b in (2048, 5 * 2**20, 3.5 * 2**30)] == ["2 KiB", "5 MiB", "3.5 GiB"]
    assert [rate(r) for r in (1234.5, 2.5, 0.5, 0.001)] == ["1,234 / s", "2.5 / s", "30 / min", "3.6 / h"]
    assert [time_unit(s)[1] for s in (0.5, 60, 600, 10_000, 300_000)] == ["ms", "s", "min", "h", "d"]
    assert shortened("a" * 50, 10) == "aaaaa … aaaaa"
