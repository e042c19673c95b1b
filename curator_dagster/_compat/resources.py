"""Resources: which parameters of a function take one, what they are given, what is said where one is missing."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from dagster import DagsterInvalidDefinitionError, IOManagerDefinition, OpDefinition
from dagster._core.definitions.resource_annotation import _is_resource_annotation
from dagster._core.definitions.resource_requirement import ResourceKeyRequirement

from curator_core.pipeline import resolved_hints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dagster import ResourceDefinition
    from dagster._core.definitions.resource_requirement import ResourceRequirement


def resource_parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of the parameters that are annotated with a resource, as those of an asset's function would be.

    Publicly only Dagster's decorators know, which want every annotation of a function to be resolved; here those that
    cannot be, such as of what is imported for type checkers alone, are no resources. A class takes none.
    """
    bound: set[str] = set()
    while isinstance(function, functools.partial):
        bound.update(function.keywords)
        function = function.func
    if isinstance(function, type):
        return ()
    hints = resolved_hints(function if inspect.isroutine(function) else type(function).__call__)
    return tuple(name for name, hint in hints.items() if name not in bound and _is_resource_annotation(hint))


def original_resources(resources: Any) -> Mapping[str, object]:  # noqa: ANN401 - a class of Dagster's without a public name
    """What an annotated parameter is given, by key.

    The attributes of ``context.resources`` are another object for some resources.
    """
    found: Mapping[str, object] = resources.original_resource_dict
    return found


class _Parameter(ResourceKeyRequirement):
    """A resource that an op needs for a parameter of a user's function."""

    def __init__(self, key: str, sentence: str) -> None:
        self._key = key
        self._sentence = sentence

    @property
    def key(self) -> str:
        return self._key

    def describe_requirement(self) -> str:
        return self._sentence

    def ensure_satisfied(self, resource_defs: Mapping[str, ResourceDefinition]) -> None:
        if self._key in resource_defs:
            super().ensure_satisfied(resource_defs)
            return
        known = ", ".join(key for key, found in resource_defs.items() if not isinstance(found, IOManagerDefinition))
        raise DagsterInvalidDefinitionError(f"{self._sentence}. There are: {known or 'none'}.")


def explain_missing_resources(definition: OpDefinition, sentences: Mapping[str, str]) -> None:
    """Say in one's own words that a resource is missing which an op requires, by key.

    Dagster's own words name the op, which nobody wrote; there is no public way to others.
    """
    others = definition.get_resource_requirements

    def requirements(*args: Any, **kwargs: Any) -> Iterator[ResourceRequirement]:  # noqa: ANN401 - Dagster's own
        for found in others(*args, **kwargs):
            key = found.key if isinstance(found, ResourceKeyRequirement) and not found.is_io_manager_requirement else ""
            yield _Parameter(key, sentences[key]) if key in sentences else found

    definition.get_resource_requirements = requirements  # type: ignore[method-assign]
