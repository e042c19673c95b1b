"""The parameters of an experiment: their names, kinds and bounds, kept as ``domain.json``.

References
----------
The JSON layout is that of f3dasm 2.4: ``input_space`` and ``output_space``, one object per parameter.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from curator_core.errors import ConfigError, UnknownNameError
from curator_core.experiments.design.parameters import (
    ArrayParameter,
    CategoricalParameter,
    ConstantParameter,
    ContinuousParameter,
    DiscreteParameter,
    Parameter,
    parameter_from_dict,
    plain,
)
from curator_core.pipeline.mapping_files import plain_mapping, unique_entries
from curator_core.storage.atomic import publish_text

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass
class Domain:
    """The inputs that an experiment varies and the outputs that it gives.

    Parameters
    ----------
    input_space, output_space
        Parameter by name. Outputs are plain parameters: only whether they are kept in files of their own is known.
    """

    input_space: dict[str, Parameter] = field(default_factory=dict)
    output_space: dict[str, Parameter] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.input_space)

    def __bool__(self) -> bool:
        return bool(self.input_space) or bool(self.output_space)

    def __add__(self, other: Domain) -> Domain:
        """Every parameter of both; one that both have covers the values of both.

        A plain parameter, as of values that were given without a domain, becomes what it is in the other.

        Raises
        ------
        ConfigError
            The two have parameters of one name that cannot be one.
        """
        inputs, outputs = dict(self.input_space), dict(self.output_space)
        for known, more in ((inputs, other.input_space), (outputs, other.output_space)):
            for name, parameter in more.items():
                known[name] = _joined(known[name], parameter, name) if name in known else parameter
        return Domain(inputs, outputs)

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs, in order."""
        return list(self.input_space)

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in order."""
        return list(self.output_space)

    def copy(self) -> Domain:
        """A domain of its own with the same parameters, which are immutable."""
        return Domain(dict(self.input_space), dict(self.output_space))

    def add_float(self, name: str, low: float = -math.inf, high: float = math.inf, log: bool = False) -> None:  # noqa: FBT001, FBT002 - f3dasm's
        """Add an input that takes real numbers; a constant if both bounds are the same."""
        if low == high:
            self.add_constant(name, low)
        else:
            self._add(name, ContinuousParameter(low, high, _flag(log, f"{name!r}: log")))

    def add_int(self, name: str, low: int, high: int, step: int = 1) -> None:
        """Add an input that takes integers; a constant if both bounds are the same."""
        if low == high:
            self.add_constant(name, low)
        else:
            self._add(name, DiscreteParameter(low, high, step))

    def add_category(self, name: str, categories: Sequence[object]) -> None:
        """Add an input that takes one of some values."""
        given: object = categories
        if isinstance(given, str | Mapping | AbstractSet) or not isinstance(given, Iterable):
            raise ConfigError(f"Categories of {name!r} are a list of values, in order, not {given!r:.80}.")
        self._add(name, CategoricalParameter(list(categories)))

    def add_constant(self, name: str, value: object) -> None:
        """Add an input that has the same value in every experiment."""
        self._add(name, ConstantParameter(value))

    def add_array(
        self,
        name: str,
        shape: int | Sequence[int],
        low: float | NDArray[np.float64] = -math.inf,
        high: float | NDArray[np.float64] = math.inf,
    ) -> None:
        """Add an input that is an array of real numbers."""
        self._add(name, ArrayParameter((shape,) if isinstance(shape, int) else tuple(shape), low, high))

    def add_parameter(
        self,
        name: str,
        to_disk: bool = False,  # noqa: FBT001, FBT002 - f3dasm's
        *,
        store_function: object = None,
        load_function: object = None,
        load_kwargs: object = None,
    ) -> None:
        """Add an input of which nothing is known; with `to_disk` its values are files of their own."""
        refuse_functions(name, store_function, load_function, load_kwargs)
        self._add(name, Parameter(to_disk=_flag(to_disk, f"{name!r}: to_disk")))

    def add(self, name: str, type: str, **settings: Any) -> None:  # noqa: A002, ANN401 - f3dasm's names
        """Add an input of the kind `type`: ``float``, ``int``, ``category``, ``constant``, ``array`` or ``object``.

        Raises
        ------
        ConfigError
            No such kind, a setting that the kind does not have, or bounds that make no sense.
        """
        adders: dict[str, Callable[..., None]] = {
            "float": self.add_float,
            "int": self.add_int,
            "category": self.add_category,
            "constant": self.add_constant,
            "array": self.add_array,
            "object": self.add_parameter,
        }
        kind: object = type
        if not isinstance(kind, str) or kind not in adders:
            raise UnknownNameError.of(f"kind of parameter {name!r}", type, adders)
        try:
            adders[type](name, **settings)
        except TypeError as exc:
            raise ConfigError(f"Parameter {name!r} of kind {type!r}: {exc}. Given: {', '.join(settings)}.") from exc

    def add_output(
        self,
        name: str,
        to_disk: bool = False,  # noqa: FBT001, FBT002 - f3dasm's
        exist_ok: bool = False,  # noqa: FBT001, FBT002 - f3dasm's
        *,
        store_function: object = None,
        load_function: object = None,
        load_kwargs: object = None,
    ) -> None:
        """Add an output; with `to_disk` its values are files of their own beside the table."""
        refuse_functions(name, store_function, load_function, load_kwargs)
        if name in self.output_space:
            if not exist_ok:
                raise ConfigError(f"The domain has an output {name!r} already. Choose another name.")
            return
        self.output_space[checked_name(name)] = Parameter(to_disk=_flag(to_disk, f"{name!r}: to_disk"))

    def _add(self, name: str, parameter: Parameter) -> None:
        if name in self.input_space:
            raise ConfigError(f"The domain has an input {name!r} already. Choose another name.")
        self.input_space[checked_name(name)] = parameter

    def get_bounds(self) -> NDArray[np.float64]:
        """Lower and upper bound of every input: (n_inputs, 2) float64.

        Raises
        ------
        ConfigError
            An input has no bounds.
        """
        pairs = []
        for name, parameter in self.input_space.items():
            if not isinstance(parameter, ContinuousParameter | DiscreteParameter):
                raise ConfigError(f"Input {name!r} is of kind {parameter.kind!r}, which has no bounds.")
            pairs.append((parameter.lower_bound, parameter.upper_bound))
        return np.array(pairs, dtype=np.float64).reshape(-1, 2)

    def to_dict(self) -> dict[str, dict[str, dict[str, object]]]:
        """The content of ``domain.json``."""
        return {
            "input_space": {name: parameter.to_dict() for name, parameter in self.input_space.items()},
            "output_space": {name: parameter.to_dict() for name, parameter in self.output_space.items()},
        }

    @classmethod
    def from_dict(cls, content: object, source: str = "the domain") -> Domain:
        """Build a domain from the content of ``domain.json``; `source` names it in errors."""
        if not isinstance(content, Mapping) or not {"input_space", "output_space"} <= content.keys():
            raise ConfigError(f"{source} is no domain: it has no 'input_space' and 'output_space'.")
        spaces = []
        for space in ("input_space", "output_space"):
            if not isinstance(content[space], Mapping):
                raise ConfigError(f"{source}: {space!r} is no mapping of names to parameters.")
            items = content[space].items()
            spaces.append({name: parameter_from_dict(one, f"{source}, parameter {name!r}") for name, one in items})
        return cls(*spaces)

    @classmethod
    def from_yaml(cls, config: Mapping[str, Any]) -> Domain:
        """Build a domain from plain YAML: ``input`` and ``output``, each a mapping of names to settings.

        Without ``input``, the whole mapping is taken for the inputs.

        Raises
        ------
        ConfigError
            It is no such mapping, or a parameter in it is wrong.
        """
        where = "The configuration of a domain"
        found = plain_mapping(config, where=where)
        spaces = found if "input" in found else {"input": found}
        for name in spaces:
            if name not in ("input", "output"):
                raise UnknownNameError.of("part of a domain", name, ("input", "output"))
        domain = cls()
        for name, settings in plain_mapping(spaces["input"] or {}, where=f"{where}, 'input',").items():
            options = plain_mapping(settings, where=f"{where}, input {name!r},")
            domain.add(name, cast("str", options.pop("type", None)), **options)
        for name, settings in plain_mapping(spaces.get("output") or {}, where=f"{where}, 'output',").items():
            options = plain_mapping(settings or {}, where=f"{where}, output {name!r},")
            try:
                domain.add_output(name, **options)
            except TypeError as exc:
                raise ConfigError(f"{where}, output {name!r}: {exc}.") from exc
        return domain

    @classmethod
    def from_data(
        cls, input_data: Iterable[Mapping[str, object]], output_data: Iterable[Mapping[str, object]]
    ) -> Domain:
        """A domain of plain parameters with the names that occur in the rows, in order of appearance."""
        spaces = (
            {checked_name(name): Parameter() for row in rows for name in row} for rows in (input_data, output_data)
        )
        return cls(*spaces)

    def store(self, filename: str | Path) -> None:
        """Write the domain as JSON, whole or not at all; ``.json`` is appended if it is missing."""
        publish_text(self.to_json(), _json_file(filename))

    def to_json(self) -> str:
        """The text of ``domain.json``."""
        return json.dumps(self.to_dict(), indent=4)

    @classmethod
    def from_file(cls, filename: str | Path) -> Domain:
        """Read what `store` or f3dasm wrote.

        Raises
        ------
        ConfigError
            No such file, or it is no domain.
        """
        path = _json_file(filename)
        try:
            return cls.from_json(path.read_text(encoding="utf-8"), str(path))
        except OSError as exc:
            raise ConfigError(f"Cannot read the domain {path}: {exc}.") from exc

    @classmethod
    def from_json(cls, text: str, source: str) -> Domain:
        """Parse the text of ``domain.json``; `source` names it in errors."""
        try:
            content = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=unique_entries)
        except (RecursionError, ValueError) as exc:
            raise ConfigError(f"{source} is no JSON: {exc}.") from exc
        return cls.from_dict(content, source)


def _json_file(filename: str | Path) -> Path:
    path = Path(filename)
    return path if path.suffix == ".json" else path.with_name(f"{path.name}.json")


def refuse_functions(name: str, *functions: object) -> None:
    """Refuse f3dasm's functions of one's own for files.

    Raises
    ------
    ConfigError
        One is given: a table that names functions runs what is in it when it is read.
    """
    if any(one is not None for one in functions):
        raise ConfigError(
            f"{name!r}: store_function, load_function and load_kwargs are not supported, since a table that holds "
            "functions would run them when it is read. Write the file in the experiment, and store its path as text."
        )


def _joined(first: Parameter, second: Parameter, name: str) -> Parameter:
    for one, other in ((first, second), (second, first)):
        if type(one) is Parameter and type(other) is not Parameter and not one.to_disk:
            return other
    return first.joined(second, name)


def _flag(given: object, where: str) -> bool:
    found = plain(given)
    if not isinstance(found, bool):
        raise ConfigError(f"{where} must be true or false, not {given!r}.")
    return found


def checked_name(name: object) -> str:
    """The name of a parameter.

    Raises
    ------
    ConfigError
        It is no text, or an empty one, which a table cannot have.
    """
    if not isinstance(name, str) or not name:
        raise ConfigError(f"A parameter's name is a non-empty text, not {name!r}.")
    return name
