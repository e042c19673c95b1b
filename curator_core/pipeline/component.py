"""What sources, filters and sinks share: a name, parameters, captured constructor arguments."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, cast

from curator_core.errors import ConfigError
from curator_core.pipeline.annotations import secret_fields
from curator_core.pipeline.calls import bind_arguments, call_arguments, collecting
from curator_core.pipeline.fitting import fitted
from curator_core.pipeline.params import Param, derive_params, hints_of, secret_names


class Component:
    """What sources, filters and sinks share: a name, parameters, captured constructor arguments."""

    name: ClassVar[str] = ""
    """Name in configuration files and metrics; the class name when empty."""
    description: ClassVar[str] = ""
    """One sentence for listings."""
    version: ClassVar[str] = ""
    """Raised when the code computes something else, so that what it computed before is not taken for the same."""

    checks_arguments: ClassVar[bool] = False
    """Whether the constructor's arguments are compared with its annotations before it is called."""

    _arguments: Mapping[str, object] | None

    def __new__(cls, /, *args: object, **kwargs: object) -> Self:
        """Capture the constructor's arguments before `__init__` can change them."""
        self = super().__new__(cls)
        object.__setattr__(self, "_arguments", bind_arguments(cls, args, kwargs))  # a dataclass may be frozen
        if cls.checks_arguments:
            cls._check_arguments(self._arguments or {})
        return self

    @classmethod
    def params(cls) -> list[Param]:
        """The configurable parameters, by default derived from the constructor."""
        return derive_params(cls)

    @classmethod
    def component_name(cls) -> str:
        """The `name`, or the class name when there is none."""
        return cls.name or cls.__name__

    def __getnewargs_ex__(self) -> tuple[tuple[object, ...], dict[str, object]]:
        """Keep the captured arguments when pickled, also where a subclass chooses its own state."""
        args, kwargs = call_arguments(type(self), self._arguments or {})
        return tuple(args), kwargs

    @classmethod
    def _check_arguments(cls, given: Mapping[str, object]) -> None:
        hints, secret = hints_of(cls), cls.secret_parameters(given)
        for name, value in given.items():
            where = f"{cls.component_name()}: {name}"
            hint = hints.get(name, hints.get("**", Any))
            fitted(value, hint, where=where, is_secret=name in secret, from_file=False)

    @property
    def arguments(self) -> Mapping[str, object]:
        """Constructor arguments by name, defaults included.

        Raises
        ------
        ConfigError
            They were not captured: a subclass bypasses `Component.__new__`.
        """
        captured = getattr(self, "_arguments", None)
        if captured is None:
            raise ConfigError(
                f"{type(self).__qualname__}: its constructor arguments are not known. Do not override __new__ or "
                "__reduce__ in a component, and accept what __init__ is called with."
            )
        return cast("Mapping[str, object]", captured)

    def secret_values(self) -> list[str]:
        """Texts in the values of the secret parameters, also of components within, to keep them out of messages."""
        given = self._arguments or {}
        secret = self.secret_parameters(given)
        return [text for name, value in given.items() for text in _secret_texts(value, is_secret=name in secret)]

    @classmethod
    def secret_parameters(cls, given: Iterable[str] = ()) -> set[str]:
        """Names of the parameters that are secret, by their annotations or by `params`.

        Parameters
        ----------
        given
            Names of arguments: those that ``**values`` collects are as secret as it is.
        """
        params = cls.params()
        secret = {param.name for param in params if param.secret} | secret_names(cls)
        if collecting(cls).get("**") in secret:
            secret |= set(given) - {param.name for param in params}
        return secret

    def check(self) -> None:
        """Raise `ConfigError` when the component cannot work as configured.

        Called once in the coordinating process before any item is processed. The default accepts.
        """


def _secret_texts(value: object, *, is_secret: bool) -> Iterator[str]:
    if isinstance(value, Component):
        yield from value.secret_values()
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        secret = secret_fields(type(value))
        for field in dataclasses.fields(value):
            yield from _secret_texts(getattr(value, field.name), is_secret=is_secret or field.name in secret)
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from _secret_texts(member, is_secret=is_secret)
    elif isinstance(value, list | tuple | set | frozenset):
        for member in value:
            yield from _secret_texts(member, is_secret=is_secret)
    elif is_secret and isinstance(value, bytes):
        yield value.decode(errors="backslashreplace")
    elif is_secret and isinstance(value, str | int | Path) and not isinstance(value, bool):
        yield str(value)
