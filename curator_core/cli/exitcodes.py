"""Exit statuses of the `curator` command."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit statuses, for scripts."""

    OK = 0
    """All was done."""
    ITEMS_FAILED = 1
    """Some items failed, or their results could not be merged; everything else was done and recorded."""
    USAGE = 2
    """The command line, the configuration or the surroundings are wrong."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C or SIGTERM; what was complete is recorded."""
