"""Where other processes find the modules of a code location.

Dagster loads it with its working folder on the import path, which it takes away again, and a file under the name
that only this process knows it by. Jobs on a cluster import what they need by name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.machinery import PathFinder
from pathlib import Path


def make_importable(objects: Iterable[object]) -> None:
    """Add the folders of the modules that functions, or the classes of other objects, are defined in."""
    for given in objects:
        name = given.__module__
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if name == "__main__" or file is None or PathFinder.find_spec(name.partition(".")[0]) is not None:
            continue
        path = Path(file).absolute()
        depth = name.count(".") + (path.name == "__init__.py")
        sys.path.append(str(path.parents[depth]))
