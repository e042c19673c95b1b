"""Secrets that resources hold: kept out of messages, and out of what is recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, SecretStr

from curator_core import Pipeline
from curator_core.errors import ConfigError
from curator_core.pipeline import canonical_json, component_config, is_secret_name

if TYPE_CHECKING:
    from curator_core.pipeline.component import Component

MIN_LENGTH = 6
"""Characters below which a text is no secret that could be recognized elsewhere."""


def secrets_in(resources: Mapping[str, object]) -> dict[str, str]:
    """Texts of resources that are secret by their field's name or type, each with what holds it.

    Parameters
    ----------
    resources
        Resources by key.
    """
    found: dict[str, str] = {}
    for key, resource in resources.items():
        for field, text in _texts(key, resource):
            if len(text) >= MIN_LENGTH:
                found[text] = f"{field!r} of the resource {key!r}" if field != key else f"the resource {key!r}"
    return found


def _texts(name: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, BaseModel):  # Dagster's resources are, and those within them
        for field in type(value).model_fields:
            yield from _texts(field, getattr(value, field, None))
    elif isinstance(value, SecretStr):
        yield name, value.get_secret_value()
    elif isinstance(value, str) and is_secret_name(name):
        yield name, value


def check_unrecorded(pipeline: Pipeline[Any], secrets: Mapping[str, str], where: str) -> None:
    """Refuse a pipeline whose configuration, which is recorded, has a secret.

    Raises
    ------
    ConfigError
        The message says which parameter is to be marked.
    """
    for component in pipeline.components if secrets else ():
        _check_component(component, secrets, where)


def _check_component(component: Component, secrets: Mapping[str, str], where: str) -> None:
    for name, value in component_config(component)["params"].items():
        recorded = canonical_json(value)
        for text, holder in secrets.items():
            if canonical_json(text)[1:-1] in recorded:
                raise ConfigError(
                    f"{where}: {component.component_name()}({name}=…) is given {holder}, which is a secret by its "
                    f"name, and would be recorded. Mark the parameter: {name}: Annotated[..., SECRET]."
                )
