"""Questions about what items cost."""

from __future__ import annotations

import pytest

from curator_core.store.metrics import SlowItem, StageTotal, StatusTotals

NEW_YEAR = 1767225600  # POSIX time of 2026-01-01


def test_totals_by_status(recorded):
    """Number, time and largest memory of the items of each status, some keys left out."""
    assert recorded.totals(1) == {
        "completed": StatusTotals(2, 5 * 10**9, 300, "2026-01-01T00:00:05+00:00"),
        "error": StatusTotals(3, 3 * 10**9, None, "2026-01-01T00:00:05+00:00"),
    }
    assert recorded.totals(1, without=["c", "b", "d", "e"]) == {
        "completed": StatusTotals(1, 2 * 10**9, 100, "2026-01-01T00:00:02+00:00"),
    }
    assert recorded.total_time(1) == (2, 5 * 10**9)


def test_wall_times_of_completed_items(recorded):
    """Seconds by key, in the order of the listing."""
    assert recorded.wall_times(1) == [("c", 3.0), ("a", 2.0)]


def test_costs_of_all_items(recorded):
    """Moment, seconds, memory, failure and worker of each, in the order of the listing."""
    moments, *rest = zip(*recorded.costs(1), strict=True)
    assert moments == pytest.approx([NEW_YEAR + second for second in (5, 2, 2, 4, 5)], abs=0.01)
    assert [*zip(*rest, strict=True)] == [
        (3.0, 300, 0, "w1"),
        (2.0, 100, 0, "w1"),
        (1.0, None, 1, "w1"),
        (1.0, None, 1, "w1"),
        (1.0, None, 1, "w1"),
    ]


def test_time_per_stage(recorded):
    """Sum, mean and longest of each stage, source first."""
    source, double = recorded.stage_totals(1)
    assert source == StageTotal("numbers", pytest.approx(0.5), pytest.approx(0.1), pytest.approx(0.1))
    assert double == StageTotal("double", pytest.approx(7.5), pytest.approx(1.5), pytest.approx(2.9))


def test_slowest_items(recorded):
    """The slowest ones first, each with the stage that took most of it."""
    assert recorded.slowest(1, 2) == [
        SlowItem(0, "c", 3.0, "double", pytest.approx(2.9 / 3), 300, is_failed=False),
        SlowItem(1, "a", 2.0, "double", pytest.approx(1.9 / 2), 100, is_failed=False),
    ]
