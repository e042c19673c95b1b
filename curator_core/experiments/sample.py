"""One experiment of a table: its inputs, outputs and job status."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from curator_core.errors import ConfigError, UnknownNameError
from curator_core.experiments.design.domain import Domain, checked_name, refuse_functions
from curator_core.experiments.design.parameters import Parameter, plain
from curator_core.experiments.reading import read_regular
from curator_core.experiments.references import FOREIGN_FOLDER, Reference
from curator_core.experiments.typed_csv import same
from curator_core.storage.atomic import publish_text
from curator_core.storage.disk import make_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

Which = Literal["input", "output"]


class JobStatus(StrEnum):
    """What is known about the job of an experiment."""

    OPEN = "open"
    IN_PROGRESS = "in_progress"
    FINISHED = "finished"
    ERROR = "error"

    @classmethod
    def of(cls, name: object, where: str = "") -> JobStatus:
        """The status of that name, in upper or lower case; `where` begins the error's text."""
        try:
            return cls(str(name).lower())
        except ValueError:
            raise UnknownNameError.of(f"{where}job status".lstrip(), name, list(cls)) from None


class ExperimentSample:
    """The record of one experiment.

    Parameters
    ----------
    input_data, output_data
        Value by name.
    job_status
        By default ``finished`` with outputs, else ``open``.
    project_dir
        Folder of the table, where values that are files of their own are found.
    """

    def __init__(
        self,
        input_data: Mapping[str, object] | None = None,
        output_data: Mapping[str, object] | None = None,
        job_status: str | None = None,
        project_dir: str | Path | None = None,
    ) -> None:
        self._inputs = _values(input_data, "input_data")
        self._outputs = _values(output_data, "output_data")
        by_default = JobStatus.FINISHED if self._outputs else JobStatus.OPEN
        self._status = by_default if job_status is None else JobStatus.of(job_status)
        self.project_dir = Path(project_dir or ".").absolute()
        self._to_disk: dict[Which, set[str]] = {"input": set(), "output": set()}
        self._keep: Callable[[ExperimentSample], None] | None = None

    @property
    def input_data(self) -> dict[str, object]:
        """The inputs by name, those in files of their own loaded; a `Reference` where a file is not read here."""
        return {name: self._shown(value) for name, value in self._inputs.items()}

    @property
    def output_data(self) -> dict[str, object]:
        """The outputs by name, those in files of their own loaded; a `Reference` where a file is not read here."""
        return {name: self._shown(value) for name, value in self._outputs.items()}

    @property
    def job_status(self) -> JobStatus:
        """The status of the experiment's job."""
        return self._status

    def get(self, name: str) -> object:
        """The value of an input or output.

        Raises
        ------
        KeyError
            The experiment has no such value.
        """
        for values in (self._inputs, self._outputs):
            if name in values:
                return self._loaded(values[name])
        raise KeyError(f"The experiment has no value {name!r}, only {', '.join([*self._inputs, *self._outputs])}.")

    def store(
        self,
        name: str,
        object: Any,  # noqa: A002, ANN401 - f3dasm's names
        to_disk: bool = False,  # noqa: FBT001, FBT002 - as f3dasm
        *,
        store_function: object = None,
        load_function: object = None,
        load_kwargs: object = None,
        which: Which = "output",
    ) -> None:
        """Set an output, or an input.

        With `to_disk` an array or data frame becomes a file of its own when the table is stored.
        """
        refuse_functions(name, store_function, load_function, load_kwargs)
        if which not in ("input", "output"):
            raise ConfigError(f"which must be 'input' or 'output', not {which!r}.")
        (self._inputs if which == "input" else self._outputs)[checked_name(name)] = object
        if to_disk:
            self._to_disk[which].add(name)
        self._kept()

    def mark(self, status: str) -> None:
        """Set the status of the experiment's job."""
        self._status = JobStatus.of(status)
        self._kept()

    def is_status(self, status: str) -> bool:
        """Whether the experiment's job has this status."""
        return self._status is JobStatus.of(status)

    def to_dict(self) -> dict[str, object]:
        """Inputs and outputs together."""
        return {**self.input_data, **self.output_data}

    def to_numpy(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Inputs and outputs as arrays."""
        return np.array(list(self.input_data.values())), np.array(list(self.output_data.values()))

    def to_multiindex(self) -> dict[tuple[str, str], object]:
        """Status, inputs and outputs under ``("jobs", "")``, ``("input", name)`` and ``("output", name)``."""
        found: dict[tuple[str, str], object] = {("jobs", ""): self._status.value}
        found |= {("input", name): value for name, value in self._inputs.items()}
        return found | {("output", name): value for name, value in self._outputs.items()}

    def store_as_json(self, idx: int) -> None:
        """Write the record as f3dasm does, to ``experiment_sample/<idx>.json`` in the project folder.

        Collecting results takes it over, here and in f3dasm.

        Raises
        ------
        ConfigError
            A value is none that JSON holds; an array or a file belongs into the table.
        """
        record = {
            "input_data": {name: _as_json(name, value) for name, value in self._inputs.items()},
            "output_data": {name: _as_json(name, value) for name, value in self._outputs.items()},
            "job_status": self._status.name,
            "project_dir": str(self.project_dir),
        }
        path = self.project_dir / FOREIGN_FOLDER / f"{operator.index(idx)}.json"
        make_folder(path.parent)
        publish_text(json.dumps(record, indent=2), path)

    @classmethod
    def from_json(cls, path: str | Path) -> ExperimentSample:
        """The record that `store_as_json`, here or in f3dasm, wrote to a file.

        Raises
        ------
        ConfigError
            It is no such file.
        """
        try:
            record = json.loads(read_regular(Path(path))[0])
            inputs, outputs = (
                {name: _from_json(value) for name, value in record[key].items()}
                for key in ("input_data", "output_data")
            )
            return cls(inputs, outputs, JobStatus.of(record["job_status"], f"{path}: "), record["project_dir"])
        except (AttributeError, LookupError, OSError, RecursionError, TypeError, UnicodeError, ValueError) as exc:
            raise ConfigError(f"{path} cannot be read as the record of an experiment: {exc}.") from exc

    @classmethod
    def from_numpy(cls, input_array: NDArray[Any]) -> ExperimentSample:
        """A record of inputs ``x0``, ``x1``, …."""
        return cls({f"x{i}": plain(value) for i, value in enumerate(input_array.ravel())})

    def round(self, decimals: int) -> None:
        """Round real numbers."""
        self._each(lambda value: round(value, decimals) if isinstance(value, float) else value)

    def replace_nan(self, replacement_value: object) -> None:
        """Put another value where one is not a number."""
        self._each(lambda value: replacement_value if isinstance(value, float) and value != value else value)  # noqa: PLR0124 - NaN

    def __add__(self, other: ExperimentSample) -> ExperimentSample:
        """A record with the values of both; those of the other one count where both have them."""
        inputs, outputs = {**self._inputs, **other._inputs}, {**self._outputs, **other._outputs}
        made = ExperimentSample(inputs, outputs, None, self.project_dir)
        made._to_disk = {"input": self._to_disk["input"] | other._to_disk["input"], "output": self._to_disk["output"]}
        made._to_disk["output"] |= other._to_disk["output"]
        return made

    def _each(self, change: Callable[[Any], object]) -> None:
        for values in (self._inputs, self._outputs):
            values.update({name: change(value) for name, value in values.items()})
        self._kept()

    def raw(self, which: Which) -> dict[str, object]:
        """The values as the table has them: a `Reference` where one is a file of its own."""
        return dict(self._inputs if which == "input" else self._outputs)

    def declare(self, domain: Domain) -> None:
        """Add to a domain what it does not know of this experiment's outputs and of values in files of their own."""
        for name in self._to_disk["input"]:
            known = domain.input_space.get(name, Parameter())
            domain.input_space[name] = Parameter(to_disk=True, foreign=known.foreign)
        for name in self._outputs:
            domain.add_output(name, exist_ok=True)
            if name in self._to_disk["output"]:
                domain.output_space[name] = Parameter(to_disk=True, foreign=domain.output_space[name].foreign)

    def on_disk(self, which: Which) -> set[str]:
        """Names of values that were stored as files of their own."""
        return set(self._to_disk[which])

    def changed_inputs(self, before: ExperimentSample) -> list[str]:
        """Names of inputs that are others than before."""
        names = dict.fromkeys([*before._inputs, *self._inputs])
        return [name for name in names if not same(before._inputs.get(name), self._inputs.get(name))]

    def copy(self) -> ExperimentSample:
        """A record of its own: what is stored in it changes no table."""
        made = ExperimentSample(self._inputs, self._outputs, self._status, self.project_dir)
        made._to_disk = {which: set(names) for which, names in self._to_disk.items()}
        return made

    def bound_to(self, keep: Callable[[ExperimentSample], None]) -> ExperimentSample:
        """The record itself, which from now on calls `keep` with itself after every change."""
        self._keep = keep
        return self

    def _kept(self) -> None:
        if self._keep is not None:
            self._keep(self)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_keep": None}  # a copy in another process changes no table

    def _shown(self, value: object) -> object:
        return value.shown(self.project_dir) if isinstance(value, Reference) else value

    def _loaded(self, value: object) -> object:
        return value.load(self.project_dir) if isinstance(value, Reference) else value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ExperimentSample):
            return NotImplemented
        return self._status is other._status and all(
            same(one.get(name), two.get(name))
            for one, two in ((self._inputs, other._inputs), (self._outputs, other._outputs))
            for name in {*one, *two}
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ExperimentSample(input_data={self._inputs}, output_data={self._outputs}, job_status={self._status!s})"


def _as_json(name: str, value: object) -> object:
    value = plain(value)
    if isinstance(value, Reference):
        return {"reference": value.path}
    try:
        json.dumps(value)
    except (TypeError, ValueError) as exc:
        raise ConfigError(f"{name!r} cannot be written as JSON: {exc}. Store the table, which takes it.") from exc
    return value


def _from_json(value: object) -> object:
    """A value; f3dasm's record of a file names functions to read it, which are never opened."""
    if isinstance(value, Mapping) and isinstance(value.get("reference"), str):
        return Reference(value["reference"])
    return value


def _values(given: object, what: str) -> dict[str, object]:
    if given is not None and not isinstance(given, Mapping):
        raise ConfigError(f"{what} is a mapping of names to values, not {given!r:.80}.")
    return {checked_name(name): value for name, value in (given or {}).items() if value is not None}
