"""Templates in a ``defs.yaml``."""

# No deferred annotations here: Dagster reads those of resolvers as they are.
from typing import Any

from dagster import ResolutionContext


def rendered(context: ResolutionContext, value: Any) -> Any:  # noqa: ANN401 - whatever a YAML file holds
    """`value` with its templates filled in; Dagster's own way also makes a number of the text ``"007"``."""
    if isinstance(value, dict):
        return {key: rendered(context.at_path(key), member) for key, member in value.items()}
    if isinstance(value, list):
        return [rendered(context.at_path(position), member) for position, member in enumerate(value)]
    return context.resolve_value(value) if isinstance(value, str) and "{{" in value else value
