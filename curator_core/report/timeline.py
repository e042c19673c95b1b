"""When things happened: the time axis of a run that may have paused, and what happened in each bin of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.float64]

MAX_PAUSES = 20
"""Pauses taken out of the time axis, the longest ones."""
MIN_PAUSE_S = 30.0
"""No shorter pause is taken out, seconds."""
PAUSE_SHARE = 0.2
"""Nor one that is a smaller part of the time that the run was active."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The stretches of time in which a run was active, put together end to end."""

    begins_s: Times
    """(n_stretches,) POSIX times."""
    ends_s: Times
    """(n_stretches,) POSIX times."""

    @classmethod
    def of(cls, items: npt.NDArray[Any]) -> Timeline:
        """Find the stretches between long pauses, such as before a run was resumed.

        Parameters
        ----------
        items
            (n_items,) structured, with POSIX times ``end_s`` and durations ``wall_s``.
        """
        starts = items["end_s"] - items["wall_s"]
        order = np.argsort(starts)
        starts, busy_until = starts[order], np.maximum.accumulate(items["end_s"][order])
        pauses = starts[1:] - busy_until[:-1]
        active_s = busy_until[-1] - starts[0] - pauses[pauses > MIN_PAUSE_S].sum()
        is_long = pauses > max(MIN_PAUSE_S, PAUSE_SHARE * active_s)
        cuts = np.flatnonzero(is_long)
        cuts = np.sort(cuts[np.argsort(pauses[cuts])[-MAX_PAUSES:]])
        return cls(np.concatenate([starts[:1], starts[cuts + 1]]), np.concatenate([busy_until[cuts], busy_until[-1:]]))

    @property
    def pauses_s(self) -> Times:
        """(n_stretches - 1,) lengths of what was taken out, seconds."""
        return self.begins_s[1:] - self.ends_s[:-1]

    @property
    def seams_s(self) -> Times:
        """(n_stretches - 1,) active times at which something was taken out, seconds."""
        return np.cumsum(self.ends_s - self.begins_s)[:-1]

    @property
    def active_s(self) -> float:
        """Time that the run was active, seconds."""
        return float((self.ends_s - self.begins_s).sum())

    def active(self, times_s: Times) -> Times:
        """Active time, from 0, of POSIX times."""
        lengths = self.ends_s - self.begins_s
        after = np.cumsum(lengths)
        edges = np.stack([self.begins_s, self.ends_s], axis=1).ravel()
        return np.interp(times_s, edges, np.stack([after - lengths, after], axis=1).ravel())


def busy_seconds(starts_s: Times, ends_s: Times, edges_s: Times) -> Times:
    """Time that one worker was busy in each bin.

    Parameters
    ----------
    starts_s, ends_s
        (n_items,) times of its items, which do not overlap.
    edges_s
        (n_bins + 1,) edges of the bins.

    Returns
    -------
    Times
        (n_bins,) seconds.
    """
    order = np.argsort(starts_s)
    starts_s, ends_s = starts_s[order], np.maximum(ends_s[order], starts_s[order])
    times = np.maximum.accumulate(np.stack([starts_s, ends_s], axis=1).ravel())
    spent = np.cumsum(ends_s - starts_s)
    before = np.stack([np.concatenate([[0.0], spent[:-1]]), spent], axis=1).ravel()
    return np.diff(np.interp(edges_s, times, before))


def grouped(values: Times, bins: npt.NDArray[np.intp], n_bins: int, quantile: float) -> Times:
    """A quantile of the values in each bin, NaN where there are none.

    Parameters
    ----------
    values
        (n_items,) the values.
    bins
        (n_items,) number of each one's bin.
    n_bins
        Number of bins.
    quantile
        0 for the smallest, 0.5 for the median, 1 for the largest.
    """
    order = np.lexsort((values, bins))
    values, bins = values[order], bins[order]
    begins = np.searchsorted(bins, np.arange(n_bins))
    counts = np.diff(np.append(begins, len(bins)))
    picked = np.minimum(begins + np.floor(quantile * np.maximum(counts - 1, 0)).astype(np.intp), len(values) - 1)
    return np.where(counts > 0, values[picked], np.nan)
