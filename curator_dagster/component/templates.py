"""Templates in a ``defs.yaml`` and in the pipeline file that it names."""

# No deferred annotations here: Dagster reads those of resolvers as they are.
import os
import re
from collections.abc import Mapping
from typing import Any

from dagster import ComponentLoadContext, ResolutionContext
from jinja2 import Environment, StrictUndefined, TemplateError
from pydantic import BaseModel

from curator_core.errors import ConfigError
from curator_core.pipeline import is_secret_name
from curator_dagster.curation.secrets import MIN_LENGTH

_ALONE = re.compile(r"\{\{((?:(?!\{\{|\}\}).)*)\}\}", re.DOTALL)
"""A text that is nothing but one expression."""
_strict = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)  # noqa: S701 - no HTML


class _Variables:
    """``env``, in which a variable that is not set is an error; Dagster's own gives the text ``None``."""

    def __init__(self) -> None:
        self._secrets: dict[str, str] = {}

    def __call__(self, name: str, default: object = ...) -> object:
        if is_secret_name(name) and len(os.environ.get(name, "")) >= MIN_LENGTH:
            self._secrets[os.environ[name]] = f"the variable {name!r}"
        return os.environ.get(name, _missing(name) if default is ... else default)

    def __getattr__(self, name: str) -> object:
        if name.startswith(("jinja", "_")):  # which asks every object what it can do
            raise AttributeError(name)
        return self(name)


def _missing(name: str) -> StrictUndefined:
    return StrictUndefined(f"there is no environment variable {name!r}; env({name!r}, 'default') gives a default")


def with_variables(context: ResolutionContext, load_context: ComponentLoadContext | None = None) -> ResolutionContext:
    """A context whose templates know ``env`` and, as a text, ``project_root``.

    Parameters
    ----------
    context
        A context of Dagster's.
    load_context
        Where the project is; what `context` knows of it by default.
    """
    if load_context is not None:
        root: str | None = str(load_context.project_root.resolve())
    else:
        root = getattr(context.scope.get("context"), "project_root", None)
    return context.with_scope(env=_Variables(), **({} if root is None else {"project_root": root}))


def secrets_read(context: ResolutionContext) -> dict[str, str]:
    """Values of the variables, secret by their names, that templates were filled in with, each with what it is."""
    found: dict[str, str] = context.scope["env"]._secrets  # noqa: SLF001 - every attribute of it is a variable
    return found


def check_templates(context: ResolutionContext, value: object, where: str) -> None:
    """Refuse names that templates do not know: in the middle of a text, Dagster leaves them out.

    Raises
    ------
    ConfigError
        The message says where, and which.
    """
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_unset=True)
    if isinstance(value, Mapping):
        for name, member in value.items():
            check_templates(context, member, f"{where}.{name}" if where else str(name))
    elif isinstance(value, list | tuple):
        for position, member in enumerate(value):
            check_templates(context, member, f"{where}[{position}]")
    elif isinstance(value, str) and "{{" in value:
        _text(context, value, where)


def rendered(context: ResolutionContext, value: Any) -> Any:  # noqa: ANN401 - whatever a YAML file holds
    """`value` with its templates filled in; Dagster's own way also makes a number of the text ``"007"``."""
    if isinstance(value, dict):
        return {key: rendered(context.at_path(key), member) for key, member in value.items()}
    if isinstance(value, list):
        return [rendered(context.at_path(position), member) for position, member in enumerate(value)]
    return context.resolve_value(value) if isinstance(value, str) and "{{" in value else value


def rendered_texts(context: ResolutionContext, value: Any, where: str = "pipeline") -> Any:  # noqa: ANN401 - as above
    """The same where a text stays one though it reads as a number, as a token may; a pipeline makes numbers of texts.

    An expression that stands alone gives what it is, such as a list.

    Raises
    ------
    ConfigError
        A template cannot be filled in; the message says `where`.
    """
    if isinstance(value, dict):
        return {key: rendered_texts(context, member, f"{where}.{key}") for key, member in value.items()}
    if isinstance(value, list):
        return [rendered_texts(context, member, f"{where}[{position}]") for position, member in enumerate(value)]
    return _text(context, value, where) if isinstance(value, str) and "{{" in value else value


def _text(context: ResolutionContext, template: str, where: str) -> Any:  # noqa: ANN401 - what an expression gives
    alone = _ALONE.fullmatch(template.strip())
    try:
        text = _strict.from_string(template).render(**context.scope)
        return text if alone is None else _strict.compile_expression(alone[1])(**context.scope)
    except TemplateError as exc:
        raise ConfigError(f"{where}: the template {template!r} cannot be filled in: {exc}.") from exc
