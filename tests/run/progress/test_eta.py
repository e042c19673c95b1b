"""The time left that a progress display foretells, on runs with a simulated clock."""

import heapq
import itertools
import random

import numpy as np
import pytest

from curator_core.run.progress.eta import Estimator
from curator_core.run.progress.wording import rate, rough, span, stall, time_left

TICK_S = 0.5


def simulated(costs_s, n_workers=1, *, told_ages=True):
    """Yield (time, forecast, true time left) at every tick of a run."""
    costs = iter(costs_s)
    running = [(cost, 0.0) for cost in itertools.islice(costs, n_workers)]
    heapq.heapify(running)
    events = []
    ends, schedule = list(running), []
    while ends:
        end, begin = heapq.heappop(ends)
        schedule.append((begin, end))
        cost = next(costs, None)
        if cost is not None:
            heapq.heappush(ends, (end + cost, end))
    total_s = max(end for _, end in schedule)
    estimator = Estimator(len(costs_s), n_workers, 0.0)
    ended = sorted(end for _, end in schedule)
    schedule.sort()
    begun, n_done, now, open_tasks = 0, 0, 0.0, []
    while now < total_s:
        while n_done < len(ended) and ended[n_done] <= now:
            n_done += 1
        while begun < len(schedule) and schedule[begun][0] <= now:
            heapq.heappush(open_tasks, (schedule[begun][1], schedule[begun][0]))
            begun += 1
        while open_tasks and open_tasks[0][0] <= now:
            heapq.heappop(open_tasks)
        estimator.observe(now, n_done)
        ages = [now - begin for _, begin in open_tasks] if told_ages else []
        events.append((now, estimator.forecast(now, ages), total_s - now))
        now += TICK_S
    return events


def known(events):
    return [(now, forecast, left) for now, forecast, left in events if forecast.low_s is not None]


@pytest.mark.parametrize("n_workers", [1, 8])
def test_constant_costs(n_workers):
    """With equal costs the range is narrow and right, from the first seconds to the last."""
    events = known(simulated([0.2] * 4000, n_workers))
    assert events[0][0] <= 2.0
    for _, forecast, left in events:
        assert forecast.high_s - forecast.low_s <= max(2 * TICK_S, 0.3 * left)
        assert abs(forecast.low_s - left) <= max(2 * TICK_S, 0.2 * left)
        assert forecast.stalled_s is None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_workers", [1, 4])
def test_rare_expensive_items(seed, n_workers):
    """Where 1 item in 100 costs 1000 times as much, the truth is mostly near the range, never far below it."""
    shuffled = [2.0 if i % 100 == 0 else 0.002 for i in range(10_000)]
    random.Random(seed).shuffle(shuffled)
    events = [event for event in known(simulated(shuffled, n_workers)) if event[0] >= 10]
    near = [f.low_s / 1.5 <= left <= 1.5 * (f.high_s or left) for _, f, left in events]
    assert sum(near) / len(near) >= 0.9
    # Mean costs alone, over the last seconds, would be wrong by a factor of 1000 most of the time.
    assert all(forecast.high_s is None or forecast.high_s >= left / 3 for _, forecast, left in events if left > 5)


def test_slow_start():
    """After a start that was slow, the range reaches down to the truth at once and closes around it later."""
    events = known(simulated([1.0] * 60 + [0.01] * 60_000))
    during, soon, later = (events[np.argmin([abs(event[0] - at) for event in events])] for at in (50, 90, 240))
    assert during[1].low_s > 10_000
    assert soon[1].low_s <= 1.1 * soon[2]
    assert later[1].low_s <= 1.1 * later[2]
    assert later[2] <= later[1].high_s <= 1.5 * later[2]


def test_last_item_takes_long():
    """While the last item runs for minutes, the time left is never nearly nothing, and grows with its age."""
    events = known(simulated([0.05] * 1000 + [300.0], 4))
    tail = [(now, forecast) for now, forecast, left in events if left < 290]
    assert all(forecast.low_s >= 0.9 * (now - 12.6) for now, forecast in tail)
    assert tail[-1][1].low_s > 250
    assert "3 min" in stall(tail[360][1])


def test_last_item_takes_long_and_nobody_tells_its_age():
    """Without word from the workers, the silence since the last item stands in for the age."""
    tail = known(simulated([0.05] * 1000 + [300.0], 4, told_ages=False))[-1]
    assert tail[1].low_s > 250


def test_stalled_run():
    """A run in which nothing finishes says so after a minute, and promises only a shortest time."""
    estimator = Estimator(1000, 4, 0.0)
    for tick in range(120):
        estimator.observe(tick * 0.5, tick * 2)
    assert stall(estimator.forecast(100.0, [40.0])) == ""
    for tick in range(120, 481):
        estimator.observe(tick * 0.5, 238)
    forecast = estimator.forecast(240.0, [180.0])
    assert stall(forecast) == "no item finished for 3 min"
    assert time_left(forecast).startswith("over ")
    assert forecast.low_s >= 180


def test_long_items_are_no_stall():
    """Where every item takes ten minutes, ten minutes without one are nothing to mention."""
    assert all(forecast.stalled_s is None for _, forecast, _ in known(simulated([600.0] * 6)))


def test_nothing_is_foretold_from_nothing():
    """No time left before some seconds and items have passed, fewer items where there are few in all."""
    estimator = Estimator(1000, 1, 0.0)
    estimator.observe(1.0, 100)
    assert estimator.forecast(1.0).low_s is None
    estimator = Estimator(1000, 1, 0.0)
    estimator.observe(100.0, 4)
    assert estimator.forecast(100.0).low_s is None
    few = Estimator(3, 1, 0.0)
    few.observe(3600.0, 1)
    assert few.forecast(3600.0).low_s == pytest.approx(7200)


def test_first_of_many_parallel_items_proves_little():
    """With 16 workers, the first item alone foretells nothing: 15 others are as far."""
    estimator = Estimator(1000, 16, 0.0)
    estimator.observe(60.0, 8)
    assert estimator.forecast(60.0).low_s is None


def test_memory_and_cost_stay_bounded():
    """A run of days keeps as few points as one of minutes, spread over all of it."""
    estimator = Estimator(10**9, 1, 0.0)
    for tick in range(200_000):
        estimator.observe(tick * 0.5, tick)
    assert len(estimator._samples) <= 64
    assert estimator.forecast(100_000.0).rate == pytest.approx(2, rel=0.01)


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (None, None, ""),
        (100.0, 120.0, "~2 min left"),
        (180.0, 500.0, "3–8 min left"),
        (50.0, 200.0, "50 s – 3 min left"),
        (300.0, None, "over 5 min left"),
        (0.1, 0.2, "~1 s left"),
        (7200.0, 9000.0, "~2.2 h left"),
    ],
)
def test_time_left_in_words(low, high, text):
    """A range, or one number where both ends say the same."""
    from curator_core.run.progress.eta import Forecast

    assert time_left(Forecast(1.0, low, high, None)) == text


def test_rates_and_times_in_words():
    """Units that fit the size."""
    assert [rate(r) for r in (0, 12345.6, 3.21, 0.5, 0.001)] == ["0/s", "12,346/s", "3.2/s", "30/min", "3.6/h"]
    assert [span(s) for s in (0.4, 12, 200, 7500, 273_600)] == ["0.4 s", "12 s", "3 min 20 s", "2 h 05 min", "3 d 4 h"]
    assert [rough(s) for s in (1, 43, 150, 5400, 200_000)] == ["1 s", "45 s", "2 min", "1.5 h", "2.3 d"]
