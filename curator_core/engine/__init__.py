"""Processing of one index: the pure work that every backend does in its workers."""

from curator_core.engine.process import IndexProcessor, process_index

__all__ = ["IndexProcessor", "process_index"]
