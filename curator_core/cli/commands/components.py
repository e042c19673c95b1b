"""`curator components`: what pipelines are made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import click

from curator_core.cli.loading import import_from_here
from curator_core.cli.options import CuratorCommand, json_option
from curator_core.cli.output import one_line, print_json, print_table, say
from curator_core.errors import CuratorError
from curator_core.pipeline.annotations import type_name
from curator_core.pipeline.components import Component, Filter, Sink, Source
from curator_core.pipeline.config import class_reference, resolve_component
from curator_core.pipeline.params import Param
from curator_core.pipeline.registry import components as registry


@dataclass(frozen=True, slots=True)
class _Entry:
    """One line of the list."""

    name: str
    """Registered name."""
    kind: str | None
    """source, filter or sink; ``None`` when the component cannot be loaded."""
    description: str
    """One sentence."""
    available: bool
    """Whether it can be loaded."""
    reason: str
    """Why it cannot."""


def _complete_name(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in registry.names() if name.startswith(incomplete)]


@click.command(
    cls=CuratorCommand, examples=("components", "components ase_lmdb", "components my_module:MyFilter --json")
)
@click.argument("name", required=False, shell_complete=_complete_name)
@json_option
def components(*, name: str | None, as_json: bool) -> None:
    """List sources, filters and sinks, or explain one.

    With NAME, its parameters. NAME is what stands under 'component' in a pipeline file: a registered name, or
    module:Class for a class of your own (looked for in the current folder, too).
    """
    if name is not None:
        import_from_here()
        _show(resolve_component(name, Component, where="curator components"), name, as_json=as_json)
        return
    found = sorted((_entry(known) for known in registry.names()), key=lambda e: (_ORDER[e.kind], e.name))
    if as_json:
        print_json([asdict(entry) for entry in found])
        return
    rows = [(e.name, e.kind or "unavailable", e.description if e.available else e.reason) for e in found]
    print_table(("component", "kind", "description"), rows)


_KINDS = {"source": Source, "filter": Filter, "sink": Sink}
_ORDER = {"source": 0, "filter": 1, "sink": 2, "component": 3, None: 4}


def _entry(name: str) -> _Entry:
    try:
        cls = registry.get(name)
    except CuratorError as exc:
        return _Entry(name, None, "", available=False, reason=str(exc))
    except Exception as exc:  # noqa: BLE001 - importing a component runs its package's code; listed with the reason
        return _Entry(name, None, "", available=False, reason=f"cannot be loaded: {type(exc).__name__}: {exc}")
    return _Entry(name, _kind(cls), cls.description, available=True, reason="")


def _kind(cls: type) -> str:
    return next((kind for kind, base in _KINDS.items() if issubclass(cls, base)), "component")


def _show(cls: type[Component], name: str, *, as_json: bool) -> None:
    params = cls.params()
    if as_json:
        described = {"name": name, "kind": _kind(cls), "class": class_reference(cls), "description": cls.description}
        print_json({**described, "params": [_as_data(param) for param in params]})
        return
    say(one_line(f"{name} ({_kind(cls)}, {class_reference(cls)})"))
    if cls.description:
        say(one_line(cls.description))
    say()
    if not params:
        say("It has no parameters.")
        return
    rows = [(p.name, type_name(p.type), _default(p), _meaning(p)) for p in params]
    print_table(("parameter", "type", "default", "description"), rows)


def _as_data(param: Param) -> dict[str, object]:
    return {
        "name": param.name,
        "type": type_name(param.type),
        "required": param.required,
        "default": None if param.required or param.secret else _plain(param.default),
        "choices": None if param.choices is None else [_plain(choice) for choice in param.choices],
        "secret": param.secret,
        "description": param.description,
    }


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def _default(param: Param) -> str:
    if param.required:
        return "required"
    return "(secret)" if param.secret else repr(param.default)


def _meaning(param: Param) -> str:
    choices = f"One of {', '.join(map(repr, param.choices))}." if param.choices else ""
    return " ".join(text for text in (param.description, choices) if text)
