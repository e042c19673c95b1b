"""A pipeline over text files of readings, with statistics and a table that tells all about itself."""

import hashlib
import json
from pathlib import Path

import numpy as np

from curator_core import Filter, Pipeline, ShardedSink, Source
from curator_core.pipeline.components import Variable, shard_path


class Readings(Source[dict]):
    """One item per text file; its fingerprint is its content."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    @property
    def _files(self):
        return sorted(self.folder.glob("*.txt"))

    def __len__(self):
        return len(self._files)

    def key(self, index):
        return self._files[index].name

    def fingerprint(self, index):
        return hashlib.sha256(self._files[index].read_bytes()).hexdigest()

    def __getitem__(self, index):
        numbers = [float(word) for word in self._files[index].read_text().split()]
        yield {"reading": np.array(numbers), "n": np.array([len(numbers)])}


class Logarithm(Filter[dict]):
    """Takes the logarithm: of 0 it is not finite."""

    def __call__(self, items):
        for item in items:
            with np.errstate(divide="ignore"):
                yield item | {"reading": np.log(item["reading"])}


class ReadingsTable(ShardedSink[dict]):
    """One JSON document of all items, with two columns."""

    def __init__(self, output: str) -> None:
        self._output = output

    @property
    def output_path(self):
        return self._output

    def __call__(self, items, index):
        path = Path(shard_path(self._output, index))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([{name: array.tolist() for name, array in item.items()} for item in items]))
        return [str(path)]

    def retained_items(self, output_path):
        return {entry["key"]: entry["version"] for entry in json.loads(Path(output_path).read_text())}

    def merge_items(self, items, previous, output_path):
        held = {e["key"]: e["rows"] for e in json.loads(Path(previous).read_text())} if previous else {}
        rows = [(item, held[item.key] if item.shard is None else json.loads(item.shard.read_text())) for item in items]
        entries = [{"key": item.key, "version": item.version, "rows": found} for item, found in rows]
        Path(output_path).write_text(json.dumps(entries))

    def schema(self, output_path):
        n_rows = sum(len(entry["rows"][0]["reading"]) for entry in json.loads(Path(output_path).read_text()))
        return [
            Variable("reading", "float64", ("row",), (n_rows,), unit="mV", description="what the instrument showed"),
            Variable("n", "int64", ("row",), (n_rows,)),
        ]

    def values(self, output_path, names):
        for entry in json.loads(Path(output_path).read_text()):
            for row in entry["rows"]:
                for name in names:
                    yield entry["key"], name, np.array(row[name])


def readings_pipeline(folder, *, filters=()):
    """The pipeline in a folder."""
    return Pipeline(
        Readings(str(Path(folder) / "input")),
        list(filters),
        ReadingsTable(str(Path(folder) / "output" / "readings.json")),
        db_file=Path(folder) / "metrics.db",
    )
