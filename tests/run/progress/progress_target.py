"""A run to be watched on a terminal: what happens is read line by line from a pipe, told when it is done.

Arguments: total, number of workers. Lines: Python expressions of `display` and of `now`, the clock.
"""

import sys

from curator_core import WorkerProgressDisplay

TIME = [0.0]


def pass_time(seconds):
    """Let the display's clock advance."""
    TIME[0] += seconds


with WorkerProgressDisplay(int(sys.argv[1]), int(sys.argv[2]), clock=lambda: TIME[0]) as display, open(3) as orders:
    for order in orders:
        exec(order)
