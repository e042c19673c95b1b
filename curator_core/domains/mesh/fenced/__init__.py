"""Reads files in a process beside this one: a library that crashes, exits or hangs fails one item."""

from curator_core.domains.mesh.fenced.process import ReaderError, checked_limit, read_fenced

__all__ = ["ReaderError", "checked_limit", "read_fenced"]
