"""YAML and JSON files that hold a mapping: read strictly, within bounds, and written so that they are read alike."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from curator_core.errors import ConfigError
from curator_core.storage.atomic import publish_text

MAX_DEPTH = 64
"""Levels of lists and mappings within each other."""
MAX_ALIASED = 100_000
"""Values that the aliases of a YAML file may add to those that are written down."""

MAX_BYTES = 64 << 20
"""Size of a file that is read."""

_FALSE_READINGS = (ValueError, TypeError, LookupError, AttributeError, OverflowError)
"""What the parsers raise besides their own errors, for a date or a number that is none."""


def read_mapping(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a YAML or JSON file (by extension) that holds a mapping; YAML with the safe loader.

    Raises
    ------
    ConfigError
        Unknown extension, unreadable file, an entry that is there twice, values that are nested too deep or too many,
        or something other than a mapping; the message names the file.
    """
    suffix, name = _format_of(path), os.fspath(path)
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise ConfigError(f"Cannot read {name}: it is no file.")
        if Path(path).exists() and Path(path).stat().st_size > MAX_BYTES:
            raise ConfigError(f"Cannot read {name}: it has more than {MAX_BYTES >> 20} MiB.")
        text = Path(path).read_text(encoding="utf-8-sig")
        data = _json(text) if suffix == ".json" else yaml.load(text, _StrictLoader)  # noqa: S506 - a safe loader
    except RecursionError:
        raise ConfigError(f"Cannot read {name}: its values are nested more than {MAX_DEPTH} levels deep.") from None
    except (OSError, yaml.YAMLError, *_FALSE_READINGS) as exc:
        if isinstance(exc, ConfigError):
            raise
        raise ConfigError(f"Cannot read {name}: {_reason(exc)}") from exc
    if data is None:
        raise ConfigError(f"{name} is empty; it must hold a mapping.")
    if not isinstance(data, dict):
        raise ConfigError(f"{name} must hold a mapping, not {type(data).__name__}.")
    odd = next((key for key in data if not isinstance(key, str)), None)
    if odd is not None:
        raise ConfigError(f"{name}: the name {odd!r} is no text; put it in quotes.")
    return data


def _reason(error: Exception) -> str:
    if isinstance(error, yaml.YAMLError | OSError | UnicodeDecodeError | json.JSONDecodeError):
        return str(error)
    return f"it holds a value that cannot be read ({str(error) or type(error).__name__})"


def _json(text: str) -> object:
    data = json.loads(text, object_pairs_hook=unique_entries, parse_constant=_NoJson)
    _check_json(data, "", 0)
    return data


class _NotJsonError(ValueError):
    """A value that Python's parser accepts, and JSON does not have."""


class _NoJson:
    """NaN or an infinity, which JSON does not have."""

    def __init__(self, text: str) -> None:
        self.text = text


def unique_entries(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, for `json.loads`.

    Raises
    ------
    ValueError
        It has one entry twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the entry {twice!r} is there twice")
    return found


def _check_json(value: object, where: str, depth: int) -> None:
    if isinstance(value, _NoJson):
        number = value.text.removesuffix("Infinity") + ("inf" if "Infinity" in value.text else "")
        number = "nan" if value.text == "NaN" else number
        raise _NotJsonError(
            f'{where or "it"} is {value.text}, which JSON does not have; write {{"$float": "{number}"}}'
        )
    if depth > MAX_DEPTH:
        raise RecursionError
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        _check_json(member, f"{where}.{name}" if where else str(name), depth + 1)


class _StrictLoader(yaml.SafeLoader):
    """The safe loader, with YAML 1.2's numbers, within bounds, and without entries that are there twice."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._checked: set[int] = set()

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401 - yaml's
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise RecursionError
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            sizes: dict[int, int] = {}
            size = _expanded(node, sizes, set())
            if size > len(sizes) + MAX_ALIASED:
                raise yaml.constructor.ConstructorError(
                    None, None, f"its aliases stand for {size:,} values, too many to be meant", node.start_mark
                )
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Look for entries that are there twice before those of others are merged."""
        if not isinstance(node, yaml.MappingNode):
            raise yaml.constructor.ConstructorError(
                None, None, f"a mapping is expected, not {node.id}", node.start_mark
            )
        if id(node) not in self._checked:
            self._checked.add(id(node))
            seen: set[Hashable] = set()
            for key_node, _ in node.value:
                is_merge = key_node.tag == "tag:yaml.org,2002:merge"
                key = "<<" if is_merge else self.construct_object(key_node, deep=True)
                if not isinstance(key, Hashable) or isinstance(key, tuple):
                    raise yaml.constructor.ConstructorError(
                        None, None, "the name of an entry must be a text or a number", key_node.start_mark
                    )
                if key in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the entry {key_node.value!r} is there twice", key_node.start_mark
                    )
                seen.add(key)
        super().flatten_mapping(node)


def _expanded(node: yaml.Node, sizes: dict[int, int], around: set[int]) -> int:
    """Number of values that a node stands for, aliases followed."""
    known = sizes.get(id(node))
    if known is not None:
        return known
    if id(node) in around:
        raise yaml.constructor.ConstructorError(None, None, "a value contains itself", node.start_mark)
    around.add(id(node))
    members: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        members = node.value
    elif isinstance(node, yaml.MappingNode):
        members = [member for pair in node.value for member in pair]
    size = 1 + sum(_expanded(member, sizes, around) for member in members)
    around.discard(id(node))
    sizes[id(node)] = size
    return size


class _Dumper(yaml.SafeDumper):
    """Writes in quotes what the loader would take for a number."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


_DIGITS = r"(?:0|[1-9][0-9_]*)"
_EXPONENT = r"[eE][-+]?[0-9]+"
_INTEGER = rf"[-+]?(?:{_DIGITS}|0x[0-9a-fA-F_]+|0b[01_]+)"
_FLOAT = (
    rf"[-+]?(?:{_DIGITS}(?:\.[0-9_]*)?{_EXPONENT}|{_DIGITS}\.[0-9_]*|\.[0-9][0-9_]*(?:{_EXPONENT})?|\.(?:inf|Inf|INF))"
)
_NUMBERS = {
    "tag:yaml.org,2002:int": (_INTEGER, "-+0123456789"),
    "tag:yaml.org,2002:float": (rf"{_FLOAT}|\.(?:nan|NaN|NAN)", "-+0123456789."),
}


def _number_resolvers(
    base: dict[str, list[tuple[str, re.Pattern[str]]]],
) -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """Without YAML 1.1's octal and sexagesimal numbers: 010 and 1:30 are texts, and 1e-3 is a number."""
    found = {first: [(tag, rule) for tag, rule in rules if tag not in _NUMBERS] for first, rules in base.items()}
    for tag, (pattern, firsts) in _NUMBERS.items():
        for first in firsts:
            found.setdefault(first, []).append((tag, re.compile(rf"^(?:{pattern})$")))
    return found


_StrictLoader.yaml_implicit_resolvers = _number_resolvers(yaml.SafeLoader.yaml_implicit_resolvers)
_Dumper.yaml_implicit_resolvers = {
    first: [*rules, *_number_resolvers({}).get(first, [])]
    for first, rules in yaml.SafeDumper.yaml_implicit_resolvers.items()
}


def write_mapping(path: str | os.PathLike[str], data: Mapping[str, Any]) -> None:
    """Write a mapping as YAML or JSON (by extension), atomically.

    Raises
    ------
    ConfigError
        Unknown extension.
    """
    suffix = _format_of(path)
    if suffix == ".json":
        text = json.dumps(data, indent=2) + "\n"
    else:
        text = yaml.dump(dict(data), Dumper=_Dumper, sort_keys=False)
    publish_text(text, Path(path))


def _format_of(path: str | os.PathLike[str]) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in (".yaml", ".yml", ".json"):
        raise ConfigError(f"{os.fspath(path)}: unknown format {suffix!r}; use .yaml, .yml or .json.")
    return suffix


def plain_mapping(config: object, *, where: str) -> dict[str, Any]:
    """A configuration as plain containers: of a mapping, or of an OmegaConf configuration, also within a mapping.

    Parameters
    ----------
    config
        The configuration.
    where
        What it is for, for messages.

    Raises
    ------
    ConfigError
        It is no mapping, or has values that are missing or refer to nothing.
    """
    found = plain(config, where=where)
    if not isinstance(found, Mapping):
        raise ConfigError(f"{where} must be a mapping, not {config!r}.")
    for name in found:
        if not isinstance(name, str):
            raise ConfigError(f"{where}: the name {name!r} is no text; put it in quotes.")
    return dict(found)


def plain(value: object, *, where: str) -> Any:  # noqa: ANN401 - of the kind of the value
    """The same value, with plain containers in place of those of OmegaConf; references in them are followed.

    Raises
    ------
    ConfigError
        A value of OmegaConf is missing, or refers to nothing.
    """
    if type(value).__module__.partition(".")[0] == "omegaconf":
        omegaconf = sys.modules["omegaconf"]  # the configuration is one of its own
        try:
            return omegaconf.OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
        except omegaconf.errors.OmegaConfBaseException as exc:
            raise ConfigError(f"{where}: {' '.join(str(exc).split())}") from exc
    if type(value) is dict:  # no subclass, which may hold more than its items
        return {name: plain(one, where=where) for name, one in value.items()}
    if type(value) is list:
        return [plain(one, where=where) for one in value]
    if type(value) is tuple:
        return tuple(plain(one, where=where) for one in value)
    return value
