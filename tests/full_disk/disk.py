"""A small disk that gets full where a test wants it: a tmpfs in a mount namespace of this process."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Literal

Kind = Literal["blocks", "inodes"]
"""What runs out: room for what is in files, or files."""

_MS_REMOUNT, _MNT_DETACH = 32, 2
_BLOCK = 4096
_AMPLE = 1 << 16
_libc = ctypes.CDLL(None, use_errno=True)


class SmallDisk:
    """A fresh file system at a folder, with plenty of room until `leave` is called.

    Parameters
    ----------
    folder
        An empty one; the process must be alone in its mount namespace (`unshare -m`).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._mount(0, _AMPLE, _AMPLE)
        (folder / "never_empty").write_bytes(bytes(_BLOCK))  # a size of nothing would mean no limit

    def leave(self, kind: Kind, n: int) -> None:
        """Leave room for `n` more blocks, or files, and no more."""
        found = os.statvfs(self.folder)
        blocks, inodes = found.f_blocks - found.f_bfree + n, found.f_files - found.f_ffree + n
        self._mount(_MS_REMOUNT, blocks if kind == "blocks" else _AMPLE, inodes if kind == "inodes" else _AMPLE)

    def lift(self) -> None:
        """Give it plenty of room again."""
        self._mount(_MS_REMOUNT, _AMPLE, _AMPLE)

    def close(self) -> None:
        """Take it away, with all that is on it."""
        if _libc.umount2(os.fsencode(self.folder), _MNT_DETACH):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(self.folder))

    def _mount(self, flags: int, blocks: int, inodes: int) -> None:
        options = f"size={blocks * _BLOCK},nr_inodes={inodes}".encode()
        if _libc.mount(b"tmpfs", os.fsencode(self.folder), b"tmpfs", flags, options):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(self.folder))
