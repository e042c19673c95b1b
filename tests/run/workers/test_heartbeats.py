"""How long a worker has been at an item is elapsed time, whatever is done to the clock."""

from __future__ import annotations

import time

from curator_core.run.workers.heartbeats import Heartbeats, HeartbeatSlot, WorkerStatus


def test_a_clock_set_forward_or_back(tmp_path, monkeypatch):
    """An hour more or less on the clock changes nothing in how long an item has taken."""
    board = Heartbeats(tmp_path)
    entry = HeartbeatSlot(tmp_path, "w")
    entry.begin(3)
    real = time.time
    for shift in (3600.0, -3600.0):
        monkeypatch.setattr(time, "time", lambda shift=shift: real() + shift)
        (seen,) = board.read()
        assert 0 <= seen.elapsed_s < 30
        assert abs(seen.since - (real() + shift)) < 30
    entry.close()


def test_what_another_host_tells_goes_on(tmp_path):
    """A posted presence grows older from when it came, by this host's elapsed time alone."""
    board = Heartbeats(tmp_path)
    board.post(WorkerStatus("w", 1, "elsewhere", 3, 0.0, elapsed_s=5.0))
    first, second = (board.read()[0].elapsed_s for _ in range(2))
    assert 5 <= first <= second < 35
