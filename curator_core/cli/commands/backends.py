"""`curator backends`: how items can be spread over workers."""

from __future__ import annotations

from typing import Any

import click

from curator_core.cli.options import CuratorCommand, json_option
from curator_core.cli.output import print_json, print_table
from curator_core.errors import CuratorError
from curator_core.run.base import backends as registry


@click.command(cls=CuratorCommand, examples=("backends", "backends --json"))
@json_option
def backends(*, as_json: bool) -> None:
    """List the ways to spread items over workers.

    Use one with `curator run PIPELINE --backend NAME`. One that is not available says what to install.
    """
    found = {name: _described(name) for name in registry.names()}
    if as_json:
        print_json(found)
        return
    rows = [
        (name, "yes" if entry["available"] else "no", " ".join([entry["description"], entry["reason"]]).strip())
        for name, entry in found.items()
    ]
    print_table(("backend", "available", "description"), rows)


def _described(name: str) -> dict[str, Any]:
    try:
        cls = registry.get(name)
    except Exception as exc:  # noqa: BLE001 - importing another package runs its code; listed with the reason
        reason = str(exc) if isinstance(exc, CuratorError) else f"cannot be loaded: {type(exc).__name__}: {exc}"
        return {"description": "", "available": False, "requires": [], "reason": reason}
    is_available = cls.is_available()
    reason = "" if is_available else f"Install it with: pip install 'curator-dagster[{cls.extra or cls.name}]'"
    return {
        "description": cls.description,
        "available": is_available,
        "requires": list(cls.requires),
        "reason": reason,
    }
