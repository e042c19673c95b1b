"""A code location over text files of numbers, small and fast; its folder comes from the environment."""

import json
import os
import time
from pathlib import Path

from curator_core import Pipeline, ShardedFilter, ShardedSink, Source
from curator_core.pipeline.components import shard_path
from curator_dagster import build_curation_defs
from curator_dagster.executors.choice import named_executor

FOLDER = Path(os.environ["NUMBERS_FOLDER"])
EXECUTOR = os.environ.get("NUMBERS_EXECUTOR", "multiprocess")
EXECUTOR_CONFIG = {
    "multiprocess": {"max_concurrent": 2},
    "dask": {"cluster": {"local": {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}}},
}
if "NUMBERS_EXECUTOR_CONFIG" in os.environ:
    EXECUTOR_CONFIG[EXECUTOR] = json.loads(os.environ["NUMBERS_EXECUTOR_CONFIG"])


class NumberFiles(Source[int]):
    """One item per text file; counts its readings in ``invocations/``."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self._files: list[Path] | None = None

    def _listed(self):
        if self._files is None:
            self._files = sorted(self.folder.glob("*.txt"))
        return self._files

    def __len__(self):
        return len(self._listed())

    def key(self, index):
        return self._listed()[index].name

    def fingerprint(self, index):
        stat = self._listed()[index].stat()
        return f"{stat.st_size}-{stat.st_mtime_ns}"

    def __getitem__(self, index):
        path = self._listed()[index]
        with Path(self.folder.parent / "invocations.txt").open("a") as file:
            file.write(f"{path.name}\n")
        time.sleep(float(os.environ.get("NUMBERS_SLEEP", "0")))
        while "NUMBERS_ALLOWED" in os.environ and not Path(os.environ["NUMBERS_ALLOWED"], path.name).exists():
            time.sleep(0.05)
        for word in path.read_text().split():
            if word == "die":
                os._exit(1)
            if word == "leave":
                path.unlink()
                path.read_text()
            yield int(word)


class Sum(ShardedFilter[int]):
    """Count and sum."""

    def __init__(self, output: str) -> None:
        self._output = output
        self._found = [0, 0]

    @property
    def output_path(self):
        return self._output

    def __call__(self, items):
        self._found = [0, 0]
        for item in items:
            self._found[0] += 1
            self._found[1] += item
            yield item

    def write_shard(self, path):
        Path(path).write_text(json.dumps(self._found))

    def merge(self, shard_paths, output_path):
        parts = [json.loads(Path(path).read_text()) for path in shard_paths]
        Path(output_path).write_text(json.dumps([sum(n for n, _ in parts), sum(s for _, s in parts), parts]))


class NumbersDataset(ShardedSink[int]):
    """One JSON document of all items."""

    def __init__(self, output: str) -> None:
        self._output = output

    @property
    def output_path(self):
        return self._output

    def __call__(self, items, index):
        path = shard_path(self._output, index, ".part")
        numbers = list(items)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(numbers))
        return [path]

    def retained_items(self, output_path):
        return {entry["key"]: entry["version"] for entry in json.loads(Path(output_path).read_text())}

    def merge_items(self, items, previous, output_path):
        held = {e["key"]: e for e in json.loads(Path(previous).read_text())} if previous else {}
        entries = [
            {"key": i.key, "version": i.version, "numbers": json.loads(i.shard.read_text())} if i.shard else held[i.key]
            for i in items
        ]
        Path(output_path).write_text(json.dumps(entries))

    def describe(self, output_path):
        return {"n_numbers": sum(len(entry["numbers"]) for entry in json.loads(Path(output_path).read_text()))}


def numbers_pipeline():
    output = FOLDER / "output"
    return Pipeline(
        NumberFiles(str(FOLDER / "input")),
        [Sum(str(output / "sum.json"))],
        NumbersDataset(str(output / "numbers.json")),
        db_file=FOLDER / "metrics.db",
    )


defs = build_curation_defs(
    "numbers",
    numbers_pipeline,
    executor=named_executor(EXECUTOR, EXECUTOR_CONFIG.get(EXECUTOR)),
    partition_size=int(os.environ.get("NUMBERS_PARTITION_SIZE", "1")),
    batch_size=int(os.environ["NUMBERS_BATCH_SIZE"]) if "NUMBERS_BATCH_SIZE" in os.environ else None,
    prune=os.environ.get("NUMBERS_PRUNE") == "1",
    max_missing=int(os.environ.get("NUMBERS_MAX_MISSING", "0")),
    **json.loads(os.environ.get("NUMBERS_SETTINGS", "{}")),
)


def refresh():
    """The job, for processes that find it by this function."""
    return defs.resolve_job_def("numbers_refresh")
