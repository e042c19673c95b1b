"""Whether files and folders are there, asked of whole folders at once, and are as they were written."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice

from curator_core.storage.written import is_as_written

_FEW = 4
"""Names in a folder up to which each is asked about by itself."""
_SURPLUS = 8
"""Entries of a folder that are looked at, at most, for each name that is looked for."""


def altered_paths(marks: Mapping[str, int | None]) -> set[str]:
    """Paths at which there is nothing, or something that has another mark than it had when it was written.

    Parameters
    ----------
    marks
        Mark by path, see `curator_core.storage.written`; ``None`` where none is known.
    """
    altered = missing_paths(path for path, mark in marks.items() if mark is None)
    altered.update(path for path, mark in marks.items() if mark is not None and not is_as_written(path, mark))
    return altered


def missing_paths(paths: Iterable[str]) -> set[str]:
    """Those of `paths` at which there is nothing.

    A path of another file system (``s3://…``) is taken to be there. Listing a folder takes a fraction of
    asking about each of its entries. What the listing leaves open is asked for by itself, so that the
    answer is that of `os.path.exists` for every path.
    """
    unseen = {path for path in paths if "://" not in path}
    vanished = set()
    for folder, n_wanted in Counter(map(_folder, unseen)).items():
        if n_wanted > _FEW:
            try:
                with os.scandir(folder or os.curdir) as entries:
                    unseen.difference_update(
                        folder + entry.name
                        for entry in islice(entries, _SURPLUS * n_wanted)
                        if not entry.is_symlink()  # what a link points to may be gone
                    )
            except FileNotFoundError:
                vanished.add(folder)
            except (OSError, ValueError):
                continue  # a folder that may be entered but not listed, a name that none can have
    return {path for path in unseen if _folder(path) in vanished or not os.path.exists(path)}  # noqa: PTH110 - faster


def _folder(path: str) -> str:
    """What stands before the name, the separator included."""
    return path[: path.rfind(os.sep) + 1]
