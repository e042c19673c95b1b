"""Resources: which parameters of a function take one, what they are given, what is said where one is missing."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from dagster import DagsterInvalidDefinitionError, OpDefinition
from dagster._core.definitions.resource_annotation import get_resource_args
from dagster._core.definitions.resource_requirement import ResourceKeyRequirement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dagster import ResourceDefinition
    from dagster._core.definitions.resource_requirement import ResourceRequirement


def resource_parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of the parameters that are annotated with a resource, as those of an asset's function would be.

    Publicly only Dagster's decorators know.

    Raises
    ------
    DagsterInvalidDefinitionError
        An annotation cannot be resolved.
    """
    bound = function.keywords if isinstance(function, functools.partial) else {}
    try:
        return tuple(parameter.name for parameter in get_resource_args(function) if parameter.name not in bound)
    except (TypeError, ValueError):  # a callable without a signature
        return ()


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
        known = ", ".join(key for key in self.keys_of_expected_type(resource_defs) if key != "io_manager")
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
