"""Reads files and runs filters in a process beside this one: a library that crashes, exits or hangs fails one item."""

from curator_core.domains.mesh.fenced.calling import call_fenced
from curator_core.domains.mesh.fenced.process import ReaderError, checked_limit, read_fenced

__all__ = ["ReaderError", "call_fenced", "checked_limit", "read_fenced"]
