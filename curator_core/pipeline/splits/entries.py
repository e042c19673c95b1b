"""Rules of splits as a pipeline file describes them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, Final

from curator_core.errors import ConfigError, UnknownNameError
from curator_core.pipeline.annotations import resolved_hints
from curator_core.pipeline.fitting import fitted
from curator_core.pipeline.splits.rules import SplitByFolder, SplitByGroup, SplitByKey, SplitByList, SplitRule
from curator_core.pipeline.splits.times import SplitByTime

RULES: Final[Mapping[str, type[SplitRule]]] = MappingProxyType(
    {rule.by: rule for rule in (SplitByKey, SplitByGroup, SplitByList, SplitByFolder, SplitByTime)}
)
"""Rules by what a pipeline file calls them."""


def split_rule(given: object, *, where: str) -> SplitRule | None:
    """The rule that an entry of a pipeline file describes: ``{"by": "key", "seed": 1}``; ``None`` for no entry.

    Parameters
    ----------
    given
        The entry, or a rule, which is given back.
    where
        Where it stands, for messages.

    Raises
    ------
    ConfigError
        It describes no rule.
    """
    if given is None or isinstance(given, SplitRule):
        return given
    if not isinstance(given, Mapping) or "by" not in given:
        raise ConfigError(f"{where} must be a rule, such as {{'by': 'key', 'seed': 0}}, not {given!r}.")
    if given["by"] not in RULES:
        raise UnknownNameError(f"{where}: {UnknownNameError.of('rule', given['by'], RULES)}")
    cls = RULES[given["by"]]
    known = {each.name for each in fields(cls)}  # type: ignore[arg-type]  # all are dataclasses
    rest = {name: _dates_as_text(value) for name, value in given.items() if name != "by"}
    for name in rest:
        if name not in known:
            raise UnknownNameError(f"{where}: {UnknownNameError.of('entry', name, known)}")
    hints = resolved_hints(cls.__init__)
    try:
        return cls(**{name: fitted(value, hints[name], where=f"{where}.{name}") for name, value in rest.items()})
    except TypeError as exc:
        raise ConfigError(f"{where}: {exc}.") from None
    except ConfigError as exc:
        raise ConfigError(str(exc) if str(exc).startswith(where) else f"{where}: {exc}") from None


def _dates_as_text(value: Any) -> Any:  # noqa: ANN401 - of a file
    """What a person wrote: ``2015-12-31`` without quotes is a date to YAML."""
    if isinstance(value, Mapping):
        return {name: _dates_as_text(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_dates_as_text(one) for one in value]
    return value.isoformat() if isinstance(value, dt.date) else value
