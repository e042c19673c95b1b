"""From what a command line names to a workflow, and to the folder of a job of it."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from curator_core.cli.loading import import_from_here
from curator_core.errors import ConfigError, UnknownNameError
from curator_core.pipeline.registry import imported
from curator_core.workflow import Workflow
from curator_core.workflow.config import FILE_SUFFIXES, WorkflowFile, read_workflow


def load_workflow(given: str) -> WorkflowFile:
    """The workflow of a YAML or JSON file, of a Python file, or of a module.

    Parameters
    ----------
    given
        A file with its entries; ``file.py:name``; ``file.py`` where there is only one in it; ``module:name``.

    Raises
    ------
    ConfigError
        It is none of these, or describes no workflow.
    """
    if given.lower().endswith(FILE_SUFFIXES):
        if not Path(given).is_file():
            raise ConfigError(f"File {given!r} does not exist.")
        return read_workflow(given, Workflow)
    import_from_here()
    place, _, name = given.partition(":")
    if place.endswith(".py"):
        module = _module_of(Path(place))
        found = imported(f"{module}:{name}", where=place) if name else _only_workflow(module, place)
    elif name:
        found = imported(given, where="FILE")
    else:
        raise ConfigError(
            f"{given!r} is neither a workflow file ({', '.join(FILE_SUFFIXES)}), file.py, file.py:name nor module:name."
        )
    if not isinstance(found, Workflow):
        raise ConfigError(f"{given} is no Workflow, but {found!r}.")
    return WorkflowFile(found)


def _module_of(path: Path) -> str:
    """Name of the module that a file is; workers import it by that name."""
    if not path.is_file():
        raise ConfigError(f"File {str(path)!r} does not exist.")
    folder = str(path.absolute().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        module = import_module(path.stem)
    except (ImportError, SyntaxError) as exc:
        raise ConfigError(f"{path} cannot be imported: {type(exc).__name__}: {exc}.") from exc
    if not (module.__file__ and Path(module.__file__).samefile(path)):
        raise ConfigError(
            f"{path} cannot be imported, since {path.stem!r} is {module.__file__ or 'a part of Python'}: rename it."
        )
    return path.stem


def _only_workflow(module: str, place: str) -> Workflow:
    found = {name: one for name, one in vars(sys.modules[module]).items() if isinstance(one, Workflow)}
    if len({id(one) for one in found.values()}) == 1:
        return next(iter(found.values()))
    which = f"say which: {', '.join(f'{place}:{name}' for name in found)}" if found else "it defines none"
    raise ConfigError(f"{place}: one Workflow is needed, and {which}.")


def step_of(workflow: Workflow, given: str) -> Workflow:
    """The workflow from a step on: a name, or a position from 0 where no step has that name."""
    try:
        return workflow.from_step(given)
    except UnknownNameError:
        if not given.isdecimal():
            raise
    return workflow.from_step(int(given))
