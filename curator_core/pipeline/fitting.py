"""Whether a value is what an annotation says; one from a file is converted where that is clear."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import math
import numbers
import os
import re
import reprlib
import sys
import types
import typing
import uuid
from collections import abc
from decimal import Decimal
from pathlib import Path, PurePath
from typing import Any

from curator_core.errors import ConfigError
from curator_core.pipeline.annotations import Unresolved, field_hints, is_named_tuple, type_name

_NUMBER = re.compile(
    r"[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:inf|infinity)|nan", re.IGNORECASE
)
_MAX_DIGITS = 4000
"""Of an integer; Python reads no more than 4,300."""
_SHOWN = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxother = 80


class _MisfitError(Exception):
    """The value is none of what the annotation says."""


class _LackError(_MisfitError):
    """Something is missing or does not fit, which is said without showing what is there."""


def fitted(value: object, hint: object, *, where: str, is_secret: bool = False, from_file: bool = True) -> Any:  # noqa: ANN401 - of the annotation's type
    """The value, as the annotation says.

    Parameters
    ----------
    value
        What is given.
    hint
        The annotation; what cannot be checked is accepted.
    where
        What it is given for, for messages.
    is_secret
        Do not show the value.
    from_file
        Convert what a file cannot say otherwise, such as a path. Otherwise a value is only looked at, and one that
        can stand for another kind, such as a NumPy integer for an integer, is accepted.

    Raises
    ------
    ConfigError
        It does not fit; the message names `where`.
    """
    try:
        return (_Files() if from_file else _Fit()).fit(value, hint)
    except _MisfitError as exc:
        what = f"a value of type {type(value).__name__}" if is_secret else _SHOWN.repr(value)
        is_shown = str(exc) and (not is_secret or isinstance(exc, _LackError))
        more = f" ({exc})" if is_shown else ""
        raise ConfigError(f"{where} must be {type_name(hint)}, not {what}{more}.") from None


class _Fit:
    """Looks at values that Python code gives."""

    converts = False

    def fit(self, value: Any, hint: Any) -> Any:  # noqa: ANN401 - any value, one case per kind of annotation
        """The value, as the annotation says; `_MisfitError` when it is something else."""
        hint = _unwrapped(hint)
        origin, args = typing.get_origin(hint), typing.get_args(hint)
        if hint in (Any, object, ...) or isinstance(hint, Unresolved | str | typing.ForwardRef):
            return value
        if hint is None or hint is types.NoneType:
            return self._require(value, fits=value is None)
        if origin in (typing.Union, types.UnionType):
            return self._one_of(value, args)
        if origin is typing.Literal:
            return self._literal(value, args)
        kind = origin or hint
        if kind is abc.Callable:
            return self._require(value, fits=callable(value))
        return self._of_class(value, kind, args) if isinstance(kind, type) else value

    def _require(self, value: Any, *, fits: bool) -> Any:  # noqa: ANN401 - any value
        if not fits:
            raise _MisfitError
        return value

    def _one_of(self, value: Any, hints: tuple[Any, ...]) -> Any:  # noqa: ANN401 - any value
        fits = [_Exact(), self] if self.converts else [self]
        problems: dict[str, _MisfitError] = {}
        for fit in fits:
            for hint in hints:
                try:
                    return fit.fit(value, hint)
                except _MisfitError as exc:
                    problems[str(exc)] = exc
        problems.pop("", None)
        raise next(iter(problems.values())) if len(problems) == 1 else _MisfitError

    def _literal(self, value: Any, allowed: tuple[Any, ...]) -> Any:  # noqa: ANN401 - any value
        for one in allowed:
            if value == one and type(value) is type(one):
                return one
            if self.converts and isinstance(one, enum.Enum) and value in (one.value, one.name):
                return one
        raise _MisfitError

    def _of_class(self, value: Any, kind: type, args: tuple[Any, ...]) -> Any:  # noqa: ANN401, PLR0911 - as above
        if kind in _NUMBERS:
            return self._number(value, kind)
        if issubclass(kind, str) and kind is str:
            return self._require(value, fits=isinstance(value, str) or self._is_path(value))
        if typing.is_typeddict(kind):
            return self._typed_dict(value, kind)
        if issubclass(kind, enum.Enum):
            return self._enum(value, kind)
        if dataclasses.is_dataclass(kind) or is_named_tuple(kind):
            return self._fields(value, kind)
        if issubclass(kind, abc.Mapping):
            return self._mapping(value, kind, args)
        if kind is tuple:
            return self._tuple(value, args)
        if kind in _COLLECTIONS:
            return self._collection(value, kind, args)
        return self._other(value, kind)

    def _is_path(self, value: object) -> bool:
        return isinstance(value, os.PathLike)

    def _number(self, value: Any, kind: type) -> Any:  # noqa: ANN401 - any value
        is_flag = isinstance(value, bool) or type(value).__name__ == "bool"
        if kind is bool or is_flag:
            return self._require(value, fits=kind is bool and is_flag)
        return self._require(value, fits=isinstance(value, _NUMBERS[kind]))

    def _enum(self, value: Any, kind: type[enum.Enum]) -> Any:  # noqa: ANN401 - any value
        return self._require(value, fits=isinstance(value, kind))

    def _fields(self, value: Any, kind: type) -> Any:  # noqa: ANN401 - any value
        return self._require(value, fits=isinstance(value, kind))

    def _typed_dict(self, value: Any, kind: type) -> Any:  # noqa: ANN401 - any value
        hints = field_hints(kind)
        required = {name for name, hint in hints.items() if _is_required(kind, name, hint)}
        if not isinstance(value, abc.Mapping) or set(value) - set(hints) or required - set(value):
            raise _MisfitError(f"it has the entries {', '.join(hints)}")
        found = {name: self.fit(member, hints[name]) for name, member in value.items()}
        return found if self.converts else value

    def _mapping(self, value: Any, kind: type, args: tuple[Any, ...]) -> Any:  # noqa: ANN401 - any value
        abstract = kind in (abc.Mapping, abc.MutableMapping)
        self._require(value, fits=isinstance(value, abc.Mapping) and (abstract or isinstance(value, kind)))
        if len(args) != 2:  # noqa: PLR2004 - names and values
            return value
        found = [(self._key(key, args[0]), self.fit(member, args[1])) for key, member in value.items()]
        if not self.converts:
            return value
        if len(dict(found)) < len(found):
            raise _MisfitError("two of its names are the same")
        return dict(found)

    def _key(self, key: Any, hint: Any) -> Any:  # noqa: ANN401 - any value
        try:
            return self.fit(key, hint)
        except _MisfitError:
            raise _MisfitError(f"its name {key!r} is no {type_name(hint)}; a text needs quotes") from None

    def _tuple(self, value: Any, args: tuple[Any, ...]) -> Any:  # noqa: ANN401 - any value
        self._require(value, fits=isinstance(value, tuple) or (self.converts and isinstance(value, list)))
        hints = args
        if not args or args[-1] is ...:
            hints = (args[0] if args else Any,) * len(value)
        self._require(value, fits=len(hints) == len(value) or args == ((),))
        found = tuple(self.fit(member, hint) for member, hint in zip(value, hints, strict=False))
        return found if self.converts and type(value) in (list, tuple) else value

    def _collection(self, value: Any, kind: type, args: tuple[Any, ...]) -> Any:  # noqa: ANN401 - any value
        accepted = isinstance(value, kind) or (not self.converts and _is_array(value))
        is_set = issubclass(kind, abc.Set)
        accepted = accepted or (self.converts and isinstance(value, list) and (is_set or issubclass(list, kind)))
        self._require(value, fits=accepted and not isinstance(value, str | bytes | abc.Mapping))
        if len(args) != 1 or not isinstance(value, list | tuple | abc.Set):
            return value
        found = [self.fit(member, args[0]) for member in value]
        if not self.converts:
            return value
        if is_set:
            return frozenset(found) if kind is frozenset or isinstance(value, frozenset) else set(found)
        return type(value)(found) if type(value) in (list, tuple) else value  # type: ignore[call-arg]

    def _other(self, value: Any, kind: type) -> Any:  # noqa: ANN401 - any value
        try:
            fits = isinstance(value, kind)
        except TypeError:  # a protocol that says nothing at run time
            fits = True
        is_date = kind is dt.date and isinstance(value, dt.datetime)
        return self._require(value, fits=fits and not is_date)


class _Exact(_Fit):
    """Looks for the member of a union that a value from a file is already."""

    def _is_path(self, value: object) -> bool:
        return False


class _Files(_Exact):
    """Converts values that come from a file."""

    converts = True

    def _is_path(self, value: object) -> bool:  # its tag says so
        return isinstance(value, os.PathLike)

    def _number(self, value: Any, kind: type) -> Any:  # noqa: ANN401 - any value
        if isinstance(value, str) and kind is not bool and _NUMBER.fullmatch(value.strip()):
            return float(value) if kind not in (int, numbers.Integral) else self._whole(value.strip())
        if isinstance(value, float) and kind in (int, numbers.Integral) and math.isfinite(value):
            return self._whole(repr(value))
        return super()._number(value, kind)

    def _whole(self, text: str) -> int:
        """The integer that a number stands for, with all its digits: 1e23 is no power of two."""
        number = Decimal(text)
        if not number.is_finite() or number.adjusted() > _MAX_DIGITS:
            raise _MisfitError
        return int(self._require(number, fits=number == number.to_integral_value()))

    def _scalar(self, value: Any, kind: Any) -> Any:  # noqa: ANN401 - NumPy need not be there
        """A NumPy number that is the very one a file says, up to the digits that its type has."""
        try:
            found = kind(value)
        except (TypeError, ValueError, OverflowError) as exc:  # of no kind in particular, or too large
            raise _MisfitError(str(exc)) from exc
        return self._require(found, fits=found.dtype.kind == "f" or type(found.item())(value) == value == found.item())

    def _enum(self, value: Any, kind: type[enum.Enum]) -> Any:  # noqa: ANN401 - any value
        if isinstance(value, kind):
            return value
        for member in kind:
            if member.value == value and type(member.value) is type(value):
                return member
        if isinstance(value, str) and value in kind.__members__:
            return kind[value]
        if issubclass(kind, enum.Flag) and type(value) in (int, str):
            try:
                return kind(value) if type(value) is int else member_of(kind, value)
            except (ValueError, LookupError) as exc:
                raise _MisfitError(f"names such as {' | '.join(kind.__members__)}") from exc
        raise _MisfitError(f"one of {', '.join(map(repr, (m.value for m in kind)))}")

    def _fields(self, value: Any, kind: type) -> Any:  # noqa: ANN401 - any value
        if isinstance(value, kind):
            return value
        hints = field_hints(kind)
        if isinstance(value, list) and is_named_tuple(kind):
            value = dict(zip(hints, value, strict=False)) if len(value) <= len(hints) else None
        if not isinstance(value, abc.Mapping) or set(value) - set(hints):
            raise _MisfitError(f"a mapping with the entries {', '.join(hints)}")
        needed = [name for name in _needed_fields(kind) if name not in value]
        if needed:
            raise _LackError(f"it needs {', '.join(needed)}")
        given = {}
        for name, member in value.items():
            try:
                given[name] = self.fit(member, hints[name])
            except _MisfitError:
                raise _LackError(f"{name} must be {type_name(hints[name])}") from None
        try:
            return kind(**given)
        except (TypeError, ValueError) as exc:
            raise _MisfitError(str(exc)) from exc

    def _other(self, value: Any, kind: type) -> Any:  # noqa: ANN401 - any value
        if isinstance(value, str):
            return super()._other(self._of_text(value, kind), kind)
        if isinstance(value, list) and kind.__module__ == "numpy" and kind.__name__ == "ndarray":
            return _array(value)
        if type(value) in (bool, int, float) and kind.__module__ == "numpy":
            return self._scalar(value, kind)
        if kind is Decimal and type(value) is int:
            return Decimal(value)
        return super()._other(value, kind)

    def _of_text(self, value: str, kind: Any) -> Any:  # noqa: ANN401 - as above
        """What a text stands for where a value of another kind is wanted; the text where that is not clear."""
        if issubclass(kind, PurePath) or kind is os.PathLike:
            return Path(value) if kind is os.PathLike else kind(value)
        is_number = kind is Decimal and _NUMBER.fullmatch(value.strip())
        try:
            if kind in (dt.date, dt.datetime, dt.time):
                return kind.fromisoformat(value)
            if kind is re.Pattern:
                return re.compile(value)
            if is_number or kind is uuid.UUID or (kind.__module__ == "numpy" and kind.__name__ == "dtype"):
                return kind(value)
        except (ValueError, TypeError, re.error) as exc:
            raise _MisfitError(str(exc)) from exc
        return value


_NUMBERS: dict[type, type] = {
    bool: bool,
    int: numbers.Integral,
    float: numbers.Real,
    complex: numbers.Complex,
    numbers.Integral: numbers.Integral,
    numbers.Real: numbers.Real,
    numbers.Complex: numbers.Complex,
    numbers.Number: numbers.Number,
}
_COLLECTIONS = (
    *(list, set, frozenset, abc.Sequence, abc.MutableSequence, abc.Collection, abc.Iterable, abc.Container),
    *(abc.Set, abc.MutableSet, abc.Sized, abc.Reversible),
)


def _unwrapped(hint: Any) -> Any:  # noqa: ANN401 - an annotation
    """Without markers, and what an alias, a new type or a type variable stands for."""
    while True:
        if hasattr(hint, "__metadata__"):
            hint = typing.get_args(hint)[0]
        elif isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        elif isinstance(hint, typing.TypeVar):
            hint = typing.Union[hint.__constraints__] if hint.__constraints__ else hint.__bound__ or Any  # noqa: UP007 - of several
        elif type(hint).__name__ == "TypeAliasType":
            hint = hint.__value__
        elif hint is typing.LiteralString:
            hint = str
        elif typing.get_origin(hint) in (typing.Required, typing.NotRequired, typing.Final, typing.ClassVar):
            hint = typing.get_args(hint)[0]
        else:
            return hint


def member_of(kind: type, name: str) -> enum.Enum:
    """Member of an enumeration by name; of flags, several names with ``|`` between them.

    Raises
    ------
    LookupError
        There is none.
    """
    if not issubclass(kind, enum.Flag):
        return kind[name]  # type: ignore[index, no-any-return]
    found = kind(0)
    for one in filter(None, (part.strip() for part in name.split("|"))):
        found |= kind[one]
    return found


def _needed_fields(kind: Any) -> list[str]:  # noqa: ANN401 - a dataclass or a named tuple
    if is_named_tuple(kind):
        return [name for name in kind._fields if name not in kind._field_defaults]
    missing = dataclasses.MISSING
    fields = [field for field in dataclasses.fields(kind) if field.init]
    return [field.name for field in fields if field.default is missing and field.default_factory is missing]


def _is_required(kind: type, name: str, hint: object) -> bool:
    """Whether a typed dictionary has an entry always; of annotations that are texts, Python itself does not know."""
    while typing.get_origin(hint) is typing.Annotated:
        hint = typing.get_args(hint)[0]
    if typing.get_origin(hint) in (typing.Required, typing.NotRequired):
        return typing.get_origin(hint) is typing.Required
    return name in getattr(kind, "__required_keys__", frozenset())


def _is_array(value: object) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def _array(value: list[Any]) -> Any:  # noqa: ANN401 - NumPy need not be there
    import numpy as np  # noqa: PLC0415 - as above

    try:
        found = np.asarray(value)
    except ValueError as exc:
        raise _MisfitError(str(exc)) from exc
    if found.dtype.kind not in "biufc":
        raise _MisfitError("an array of numbers")
    return found
