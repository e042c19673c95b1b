"""Results that array tasks of f3dasm left uncollected: ``experiment_sample/<row>.json``.

References
----------
f3dasm 2.4, ``ExperimentSample.store_as_json``: inputs, outputs, status and project folder of one row. A value in a
file of its own is an object with ``reference``, its path, and pickled functions, which are never opened here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from curator_core.errors import ConfigError
from curator_core.experiments import typed_csv
from curator_core.experiments.design.parameters import Parameter
from curator_core.experiments.failure import Failure
from curator_core.experiments.reading import read_regular
from curator_core.experiments.references import FOREIGN_FOLDER, Reference, store_object
from curator_core.experiments.sample import JobStatus
from curator_core.experiments.stored.results import Result, Results, check_outputs
from curator_core.experiments.table import Table, row_of


def foreign_path(project_dir: str | Path, index: int) -> Path:
    """The file of one row's record."""
    return Path(project_dir).absolute() / FOREIGN_FOLDER / f"{index}.json"


def foreign_files(project_dir: str | Path) -> Iterator[Path]:
    """The records that wait to be collected."""
    return (path for path in (Path(project_dir).absolute() / FOREIGN_FOLDER).glob("*.json") if path.stem.isdecimal())


def remove_foreign(project_dir: str | Path, index: int) -> None:
    """Remove a record, and the folder with the last one."""
    path = foreign_path(project_dir, index)
    path.unlink(missing_ok=True)
    if path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()


def read_foreign(project_dir: str | Path, table: Table) -> Results:
    """Read the records of a table's rows.

    One whose inputs are not those of its row belongs to another table, and is a problem, as is one that cannot be
    read. A row that was running when its task ended is in progress.
    """
    found: dict[int, Result] = {}
    problems: dict[str, str] = {}
    known = set(table.numbers())
    for path in sorted(foreign_files(project_dir)):
        try:
            result = _read(path, table if int(path.stem) in known else None)
        except (ConfigError, OSError) as exc:
            problems[str(path)] = str(exc)
        else:
            found[result.index] = result
    return Results(_with_numbers(dict(sorted(found.items()))), problems)


def _read(path: Path, table: Table | None) -> Result:
    try:
        content = json.loads(read_regular(path)[0])
    except (RecursionError, ValueError) as exc:
        raise ConfigError(f"{path} is no JSON, so no record of f3dasm: {exc}.") from exc
    keys = ("input_data", "output_data")
    if not isinstance(content, dict) or not all(isinstance(content.get(key), dict) for key in keys):
        raise ConfigError(f"{path} is no record of f3dasm: it has no input_data and output_data.")
    index, status = int(path.stem), JobStatus.of(content.get("job_status"), f"{path}: ")
    if table is not None:
        _check_inputs(content["input_data"], row_of(table.inputs, index), path)
    outputs = {
        str(name): _value(value, path, str(name)) for name, value in content["output_data"].items() if value is not None
    }
    check_outputs(outputs, path)
    failure = Failure("f3dasm marked the experiment as an error; see its log.") if status is JobStatus.ERROR else None
    return Result(index, status, outputs, failure)


def _check_inputs(inputs: Mapping[str, object], row: Mapping[str, object], path: Path) -> None:
    for name, value in inputs.items():
        if name in row and not _is_same(value, row[name]):
            raise ConfigError(
                f"{path} is of another experiment: its {name!r} is {value!r}, the table's {row[name]!r}. "
                "Delete the file, or store the table it belongs to."
            )


def _is_same(value: object, known: object) -> bool:
    if isinstance(value, Mapping) or not isinstance(known, bool | int | float | str):
        return True  # a file, or an array, which f3dasm shortens
    if str(value) == str(known):
        return True
    try:
        return bool(np.isclose(float(str(value)), float(str(known)), rtol=1e-9, atol=0.0, equal_nan=True))
    except ValueError:
        return False


def _value(value: object, path: Path, name: str) -> object:
    if isinstance(value, Mapping) and isinstance(value.get("reference"), str):
        return Reference(value["reference"])
    if isinstance(value, list):
        array = np.asarray(value) if not any(isinstance(one, list | dict) for one in value) else np.empty(0, object)
        if array.dtype.kind in "biuf" and array.size:
            return store_object(path.parent.parent, name, int(path.stem), array)
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)


def _with_numbers(found: dict[int, Result]) -> dict[int, Result]:
    """Texts are numbers where all of an output are: f3dasm writes NumPy's integers so."""
    for name in {name for result in found.values() for name in result.outputs}:
        texts = {row: one.outputs[name] for row, one in found.items() if isinstance(one.outputs.get(name), str)}
        column = [typed_csv.Cell(str(text), is_quoted=False) for text in texts.values()]
        for row, value in zip(texts, typed_csv.values(column, Parameter(), is_typed=False), strict=True):
            found[row].outputs[name] = value
    return found
