"""How long the rest of a run takes, as far as that can be known."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

MAX_SAMPLES = 64
"""Points kept of the past; when there are more, every second one goes."""
SAMPLE_S = 0.5
"""Time between the points at first, seconds."""
WINDOWS = (0.25, 0.5, 1.0)
"""Parts of the elapsed time, up to now, whose rates are compared."""
N_BLOCKS = 16
"""Parts of the elapsed time from which the scatter of the rate is estimated."""
N_DEVIATIONS = 1.5
"""Half the width of the range, in standard deviations."""
MIN_ELAPSED_S = 2.0
"""Nothing is foretold earlier, seconds."""
MIN_COMPLETED = 5
"""Nothing is foretold from fewer items, unless there are few in all."""
STALL_S = 60.0
"""The shortest time without a finished item that is worth a word, seconds."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is known about the rest of a run."""

    rate: float
    """Items per second, of late."""
    low_s: float | None
    """Shortest time left that the past suggests, seconds; ``None`` before enough is known."""
    high_s: float | None
    """Longest time left that the past suggests, seconds; ``None`` when the past says nothing."""
    stalled_s: float | None
    """Time since the last item finished, seconds, where that is unusually long."""


class Estimator:
    """Foretells the end of a run from how many items were complete when.

    Costs may vary: the rates of the last quarter, of the last half and of all of the elapsed time each give a
    time left, and together a range, which is widened to what the scatter of the rate allows. A slow start leaves
    the shorter windows soon; rare expensive items show in the scatter. Rates are by wall time, so the number of
    workers is in them. No run ends before its items in flight, and an item that has taken longer than the mean
    is expected to take as long again.

    Notes
    -----
    The scatter is the mean square successive difference of the rates of blocks (von Neumann et al., Ann. Math.
    Stat. 12, 153, 1941): a trend, such as a slow start, hardly adds to it. It enters twice: the mean rate is
    known from the time elapsed only, and the time left is a sample as well.

    Parameters
    ----------
    total
        Number of items.
    n_workers
        Number of workers.
    started_s
        Time at the start, seconds of any clock.
    """

    def __init__(self, total: int, n_workers: int, started_s: float) -> None:
        self._total = total
        self._n_workers = max(1, n_workers)
        self._samples = [(started_s, 0)]
        self._spacing_s = SAMPLE_S
        self._n_seen = 0
        self._last_finish_s = started_s

    def observe(self, now_s: float, n_completed: int) -> None:
        """Note how many items are complete; any number of times a second."""
        if n_completed > self._n_seen:
            self._n_seen = n_completed
            self._last_finish_s = now_s
        if now_s - self._samples[-1][0] < self._spacing_s:
            return
        self._samples.append((now_s, n_completed))
        if len(self._samples) > MAX_SAMPLES:
            del self._samples[1::2]
            self._spacing_s *= 2

    def forecast(self, now_s: float, ages_s: Sequence[float] = ()) -> Forecast:
        """The forecast at a time.

        Parameters
        ----------
        now_s
            The time, seconds.
        ages_s
            How long each worker has been on its item, seconds.
        """
        elapsed_s = now_s - self._samples[0][0]
        rates = [self._rate(now_s, part * elapsed_s) for part in WINDOWS]
        stalled_s = self._stalled_s(now_s, rates[-1])
        n_left = self._total - self._n_seen
        if n_left <= 0 or elapsed_s < MIN_ELAPSED_S or self._n_seen < self._n_needed():
            return Forecast(rates[0], None, None, stalled_s)
        in_flight_s = self._in_flight_s(now_s, rates[-1], ages_s)
        mean_s = n_left / rates[-1]
        widening = 1 + N_DEVIATIONS * self._scatter(now_s) * math.sqrt(1 / elapsed_s + 1 / mean_s)
        low_s = max(min(n_left / max(rates), mean_s / widening), in_flight_s)
        high_s = max(n_left / min(rates), mean_s * widening, in_flight_s) if min(rates) > 0 else None
        return Forecast(rates[0], low_s, high_s, stalled_s)

    def _n_needed(self) -> int:
        """Items that must be complete: with many workers the first ones arrive together, and late."""
        return max(min(MIN_COMPLETED, math.ceil(self._total / 4)), min(self._n_workers, math.ceil(self._total / 2)))

    def _rate(self, now_s: float, window_s: float) -> float:
        return (self._n_seen - self._n_at(now_s, now_s - window_s)) / max(window_s, 1e-9)

    def _scatter(self, now_s: float) -> float:
        """Relative standard deviation of the rate over one second."""
        start_s = self._samples[0][0]
        block_s = (now_s - start_s) / N_BLOCKS
        counts = [self._n_at(now_s, start_s + k * block_s) for k in range(N_BLOCKS + 1)]
        blocks = [after - before for before, after in pairwise(counts)]
        square = sum((after - before) ** 2 for before, after in pairwise(blocks)) / (2 * (N_BLOCKS - 1))
        return math.sqrt(square * block_s) / (self._n_seen / N_BLOCKS)

    def _n_at(self, now_s: float, time_s: float) -> float:
        """Items complete at a time of the past."""
        after = bisect_right(self._samples, time_s, key=lambda sample: sample[0])
        (begin_s, n_begin), (end_s, n_end) = (
            self._samples[after - 1],
            (*self._samples[after:], (now_s, self._n_seen))[0],
        )
        return n_begin + (n_end - n_begin) * (time_s - begin_s) / max(end_s - begin_s, 1e-9)

    def _stalled_s(self, now_s: float, rate: float) -> float | None:
        silent_s = now_s - self._last_finish_s
        usual_s = self._n_workers / rate if rate > 0 else 0.0
        return silent_s if self._n_seen < self._total and silent_s >= max(STALL_S, 2 * usual_s) else None

    def _in_flight_s(self, now_s: float, rate: float, ages_s: Sequence[float]) -> float:
        """Time that the items in flight still take: up to the mean cost, then as long again as they took."""
        mean_s = self._n_workers / rate
        silent_s = now_s - self._last_finish_s  # something has been in flight for that long, told or not
        oldest_s = max([silent_s, *ages_s])
        return oldest_s if oldest_s > mean_s else mean_s - oldest_s
