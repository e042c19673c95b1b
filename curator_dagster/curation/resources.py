"""Resources of a curation: what a factory's parameters take, in a run and outside of one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetsDefinition,
    DagsterError,
    DagsterInstance,
    DagsterInvalidDefinitionError,
    OpDefinition,
    ResourceDefinition,
    build_resources,
)

from curator_core.errors import ConfigError
from curator_dagster._compat.resources import explain_missing_resources, original_resources, resource_parameters

if TYPE_CHECKING:
    from curator_dagster.curation.curation import Curation


def check_parameters(name: str, factory: Callable[..., Any]) -> None:
    """Refuse a factory that needs more than resources.

    Raises
    ------
    DagsterInvalidDefinitionError
        One of its parameters could be given nothing.
    """
    keys = resource_parameters(factory)
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # a callable without a signature
        return
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for parameter in parameters:
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY and parameter.name in keys:
            reason = "is given by its name, but is positional only"
        elif parameter.name in keys or parameter.default is not parameter.empty or parameter.kind in optional:
            continue
        else:
            reason = (
                "has no default, and is not annotated with a resource, which is there when the module runs: a subclass "
                "of ConfigurableResource, or ResourceParam[...] of any other class"
            )
        raise DagsterInvalidDefinitionError(
            f"Curation {name!r}: the parameter {parameter.name!r} of the factory {_named(factory)} {reason}."
        )


def explain_missing(curation: Curation, definition: OpDefinition) -> None:
    """Say that a resource is missing in words of the curation's factory."""
    explain_missing_resources(
        definition,
        {
            key: f"The factory {_named(curation.factory)} of curation {curation.name!r} takes a resource as its "
            f"parameter {key!r}, and the definitions have none with the key {key!r}: merge them with "
            f"Definitions(resources={{{key!r}: ...}})"
            for key in curation.resource_keys
        },
    )


def in_context(curation: Curation, resources: Any) -> Curation:  # noqa: ANN401 - ``context.resources``, of no public class
    """The curation in an op or a sensor, with what its factory takes of ``context.resources``."""
    return curation.with_resources(original_resources(resources)) if curation.resource_keys else curation


@contextmanager
def set_up(
    curation: Curation, asset: Callable[[], AssetsDefinition], instance: DagsterInstance | None = None
) -> Iterator[Curation]:
    """The curation outside of a run, with resources that are set up for it, and torn down at the end.

    Parameters
    ----------
    curation
        The curation.
    asset
        Gives one of its assets, which knows the resources of its definitions.
    instance
        Where that is; resources that need one get one in memory by default.

    Raises
    ------
    ConfigError
        A resource is missing, or cannot be set up.
    """
    if not curation.resource_keys:
        yield curation
        return
    with ExitStack() as stack:
        try:
            needed = _with_their_own(curation.resource_keys, asset().resource_defs)
            found = stack.enter_context(build_resources(needed, instance))
        except DagsterError as exc:
            names = ", ".join(curation.resource_keys)
            raise ConfigError(f"Curation {curation.name!r}: its resources ({names}) cannot be set up: {exc}") from exc
        yield in_context(curation, found)


def _with_their_own(keys: tuple[str, ...], known: Mapping[str, ResourceDefinition]) -> dict[str, ResourceDefinition]:
    """Resources, and those that they need themselves."""
    found: dict[str, ResourceDefinition] = {}
    waiting = list(keys)
    while waiting:
        key = waiting.pop()
        if key not in found and key in known:
            found[key] = known[key]
            waiting += known[key].required_resource_keys
    return found


def _named(factory: Callable[..., Any]) -> str:
    inner = factory.func if isinstance(factory, functools.partial) else factory
    name = getattr(inner, "__qualname__", type(inner).__qualname__)
    return f"{inner.__module__}.{name}"
