"""Progress of a run: a live display on a terminal, a bar in a notebook, log lines elsewhere."""

from curator_core.run.progress.display import WorkerProgressDisplay

__all__ = ["WorkerProgressDisplay"]
