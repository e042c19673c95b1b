"""A process that has what some extras bring, and nothing else: ``python -m tests.project.alone EXTRAS -c CODE``.

Every other distribution is hidden from its imports, as on a machine where it is not installed.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from types import ModuleType
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = "curator-dagster"
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def closure(name: str, extras: frozenset[str], seen: set[tuple[str, frozenset[str]]]) -> Iterator[str]:
    """A distribution and all that it requires, with some of its extras."""
    if (name, extras) in seen:
        return
    seen.add((name, extras))
    yield name
    if name == PROJECT:  # as it is now, not as it was when it was installed
        project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
        optional = project["optional-dependencies"]
        requirements = [*project["dependencies"], *(text for extra in extras for text in optional[extra])]
    else:
        try:
            requirements = distribution(name).requires or []
        except PackageNotFoundError:  # of another platform
            return
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in extras | {""}):
            yield from closure(canonicalize_name(requirement.name), frozenset(requirement.extras), seen)


class Without:
    """A finder of modules that finds nothing of other distributions.

    Parameters
    ----------
    finder
        One of `sys.meta_path`.
    hidden
        Names of modules at the top.
    """

    def __init__(self, finder: Any, hidden: frozenset[str]) -> None:
        self._finder = finder
        self._hidden = hidden

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:
        if fullname.partition(".")[0] in self._hidden:
            return None
        return self._finder.find_spec(fullname, path, target)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)


def hide_others(extras: frozenset[str]) -> None:
    """Leave to this process what the project requires with some extras."""
    wanted = set(closure(PROJECT, extras, set()))
    owned = packages_distributions().items()
    hidden = frozenset(name for name, owners in owned if wanted.isdisjoint(map(canonicalize_name, owners)))
    sys.meta_path[:] = [Without(finder, hidden) for finder in sys.meta_path]


if __name__ == "__main__":
    extras, _, code = sys.argv[1:]
    hide_others(frozenset(filter(None, extras.split(","))))
    exec(compile(code, "alone", "exec"), {"__name__": "__main__"})  # the test's own program
