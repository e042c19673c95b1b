"""Kills over histories of several configurations: ``kill_histories.py FIRST_SEED N_SEEDS``.

A history is a row of operations on one folder: runs and gatherings of configuration A and B (on all items or on
some), a new first file, its removal, two files exchanged. The seed chooses them, the backend, the kind of sink, and
whether A and B share a database. Some operations are killed, by SIGKILL, SIGTERM or SIGINT, at the n-th event: Python
tells an audit hook of every file that is opened for writing, renamed or removed, and of every lock, and the databases
tell when a transaction begins and before it is committed.

After every operation, whatever is up to date holds its own item as its own configuration makes it, what is published
is whole and of one configuration, and nothing that was up to date was processed again. At last A is run undisturbed,
and must give what a run from scratch gives. Prints the number of kills.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from killed import in_child

from curator_core import Filter, Pipeline, Sink, gather_pipeline, run_pipeline
from curator_core.errors import ConfigError
from curator_core.merge.archive import ShardArchive, item_version
from curator_core.session import compaction
from curator_core.store import MetricsStore
from curator_core.testing import DatasetSink, FaultySource, FileSource, JsonSink, StatisticsFilter, invocations

NAMES = "bcdef"
AMOUNTS = {"A": 0, "B": 100_000}
SIGNALS = (signal.SIGKILL,) * 6 + (signal.SIGTERM, signal.SIGINT)
MAX_EVENTS = 130
"""Hardly any operation here has more."""
N_OPERATIONS = 7
OPERATIONS = ["run"] * 4 + ["run and gather"] + ["gather"] * 3 + ["gather and keep", "reset", "reset_index"]
DATASETS = {"dataset": "out/data.json", "folder": "out/data.folder"}
FIRST = "a.txt"


class ShiftFilter(Filter[int]):
    """Adds the amount that tells configurations apart."""

    def __init__(self, amount):
        self.amount = amount

    def __call__(self, items):
        for item in items:
            yield item + self.amount


class PlaceSink(Sink[int]):
    """Writes in place, as many sinks of users do."""

    def __init__(self, folder):
        self.folder = folder

    def __call__(self, items, index):
        path = Path(self.folder, f"{index}.json")
        path.parent.mkdir(exist_ok=True)
        with path.open("w") as file:
            file.write("[")
            file.write(", ".join(map(str, items)))
            file.write("]")
        return [str(path)]


class FolderSink(DatasetSink):
    """The dataset is a folder, which is exchanged as a whole."""

    def retained_items(self, output_path):
        return super().retained_items(str(Path(output_path, "items.json")))

    def merge_items(self, items, previous, output_path):
        Path(output_path, "more").mkdir(parents=True)
        before = previous and str(Path(previous, "items.json"))
        super().merge_items(items, before, str(Path(output_path, "items.json")))
        Path(output_path, "more", "count").write_text(str(len(items)))


class TableFilter(Filter[int]):
    """As other packages have them: one object sees all items, and appends to its output."""

    def __init__(self, output):
        self._output_path = output
        self._rows = []

    def __call__(self, items):
        for item in items:
            self._rows.append([1, item])
            yield item

    def flush(self):
        path = Path(self._output_path)
        before = json.loads(path.read_text()) if path.exists() else []
        path.write_text(json.dumps(before + self._rows))
        self._rows.clear()

    def artifacts(self):
        return [self._output_path]

    @staticmethod
    def merge(shard_paths, output_path):
        rows = [row for path in shard_paths for row in json.loads(Path(path).read_text())]
        Path(output_path).write_text(json.dumps({"items": rows}))


class History:
    """One folder and what happens to it."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.seed = seed
        self.sink = self.chance.choice(["dataset", "folder", "json", "place"])
        self.filter = self.chance.choice([StatisticsFilter, StatisticsFilter, TableFilter])
        self.backend = self.chance.choice(["sequential"] * 4 + ["thread_pool", "process_pool"])
        self.databases = self.chance.choice([("m.db", "m.db"), ("m.db", "m.db"), ("a.db", "b.db")])
        self.max_loose = self.chance.choice([1, 2, 500])
        self.is_dataset = self.sink in DATASETS
        kinds = f"{self.sink}, {self.filter.__name__}, {self.backend}, {self.databases}"
        self.lines = [f"seed {seed}: {kinds}, at most {self.max_loose} loose"]
        self.contents = {}
        self.number = 10
        self.n_killed = 0
        self.has_shifted = False
        Path("in").mkdir()
        for name in NAMES:
            self.write(f"{name}.txt")

    def write(self, name):
        """A new file, or new content, that no file ever had."""
        self.number += 1
        Path("in", name).write_text(str(self.number))
        self.contents[name] = self.number

    def pipeline(self, which):
        source = FaultySource(FileSource("in"), f"log{which}")
        end: Any = {"dataset": DatasetSink, "folder": FolderSink, "json": JsonSink, "place": PlaceSink}[self.sink]
        path = DATASETS.get(self.sink, "out")
        steps = [ShiftFilter(AMOUNTS[which]), self.filter("out/stats.json")]
        database = self.databases[which == "B"]
        return Pipeline(source, steps, end(path), db_file=database, resume=True)

    def run(self, which, indices=None, *, gather=False):
        """A run; two workers where the backend has some."""
        options = {"mp_context": "fork"} if self.backend == "process_pool" else {}
        n_jobs = 1 if self.backend == "sequential" else 2
        return run_pipeline(
            self.pipeline(which),
            backend=self.backend,
            n_jobs=n_jobs,
            indices=indices,
            progress=False,
            gather=gather,
            **options,
        )

    def act(self, operation, which, indices):
        """What an operation does, in a process of its own."""
        if operation.startswith("run"):
            self.run(which, indices, gather=operation.endswith("gather"))
        elif operation.startswith("gather"):
            gather_pipeline(self.pipeline(which), keep_shards=operation.endswith("keep"))
        elif operation == "reset":
            self.pipeline(which).reset()
        else:
            self.pipeline(which).reset_index(indices[0])

    def change(self):
        """Files appear, vanish, and are exchanged."""
        kind = self.chance.choice(["first", "exchange", "exchange in place", "rewrite"])
        self.has_shifted |= kind == "first"
        first = Path("in", FIRST)
        if kind == "first" and first.exists():
            first.unlink()
            self.contents.pop(FIRST)
        elif kind == "first":
            self.write(FIRST)
        elif kind == "exchange":
            Path("in/c.txt").rename("in/tmp")
            Path("in/d.txt").rename("in/c.txt")
            Path("in/tmp").rename("in/d.txt")
        elif kind == "exchange in place":
            one, other = Path("in/c.txt").read_text(), Path("in/d.txt").read_text()
            Path("in/c.txt").write_text(other)
            Path("in/d.txt").write_text(one)
        else:
            self.write("e.txt")
        if kind.startswith("exchange"):
            self.contents["c.txt"], self.contents["d.txt"] = self.contents["d.txt"], self.contents["c.txt"]
        self.lines.append(kind)

    def go(self):
        """The whole history."""
        compaction.MAX_LOOSE = self.max_loose
        for _ in range(N_OPERATIONS):
            if self.chance.random() < 0.25:
                self.change()
            which = self.chance.choice("AAB")
            operation = self.chance.choice(OPERATIONS)
            n_items = len(self.contents)
            indices = self.chance.choice([None, None, sorted(self.chance.sample(range(n_items), 2))])
            if operation == "reset_index":
                indices = [self.chance.randrange(n_items)]
            self.operate(operation, which, indices)
            self.check()
        self.finish()

    def operate(self, operation, which, indices):
        is_killed = self.chance.random() < 0.85
        number = self.chance.choice(SIGNALS)
        n = self.chance.randint(1, MAX_EVENTS) if is_killed else 0
        done = {} if operation.startswith("reset") else self.up_to_date(which)
        before = invocations(f"log{which}")
        code = in_child(lambda: self.act(operation, which, indices), n, number, of_worker=self.chance.random() < 0.3)
        self.lines.append(f"{operation} {which} {indices or ''}: {f'{number.name} at {n}' if n else ''} -> {code}")
        self.n_killed += code in (-number, 4)
        assert is_killed or code in (0, 3), "unexpected error"
        after = invocations(f"log{which}")
        again = [key for key in done if before.get(key, 0) != after.get(key, 0)]
        # Files of a plain sink are named by index: once items have moved, some write over those of others.
        assert not again or (self.has_shifted and not self.is_dataset), f"processed again: {again}"

    def up_to_date(self, which):
        """Contents by key of what would not be processed again."""
        pipeline = self.pipeline(which)
        if not Path(self.databases[which == "B"]).exists():
            return {}
        plan = pipeline.plan()
        found = {}
        with MetricsStore(pipeline.db_path) as store:
            run = store.latest_run(pipeline.config_hash)
            if run is None:
                return {}
            shards = {}
            position = {key: record.index for key, record in store.items(run.run_id).items()}
            for index, _, path, _ in store.artifact_files(run.run_id):
                shards.setdefault(index, []).append(path)
        for item in plan.items:
            if item.reason == "up to date":
                ((path,), (shard,)) = plan.recorded_paths[item.index], shards[position[item.key]]
                version = item_version(item.key, item.fingerprint, pipeline.config_hash)
                found[item.key] = (values_at(path, item.key, version), statistics_at(shard, item.key, version))
        return found

    def check(self):
        """Whatever counts as complete is complete and right, and what is published is whole."""
        for which in "AB":
            for key, (values, statistics) in self.up_to_date(which).items():
                wanted = self.contents[key] + AMOUNTS[which]
                assert values == [wanted], f"{which}: {key} has {values}, not {wanted}"
                assert statistics in (None, [1, wanted]), f"{which}: {key} has statistics {statistics}, not {wanted}"
        for name in (*DATASETS.values(), "out/stats.json"):
            if Path(name).exists():
                if name in DATASETS.values():
                    entries = {entry["key"]: entry["values"][0] for entry in read_dataset(name)}
                    assert len(entries) == len(read_dataset(name)), f"{name} holds an item twice"
                    numbers = list(entries.values())
                else:
                    numbers = [number for _, number in json.loads(Path(name).read_text())["items"]]
                assert len({number >= AMOUNTS["B"] for number in numbers}) <= 1, f"{name} is mixed: {numbers}"

    def finish(self):
        """A's run, undisturbed, gives what there is in the folder, whatever was before."""
        keys = sorted(self.contents)
        try:
            outputs = self.run("A")
        except ConfigError as error:
            if "lie shards that another pipeline wrote" not in str(error):
                raise
            self.run("B")
            gather_pipeline(self.pipeline("B"))
            outputs = self.run("A")
        if not self.is_dataset:
            found = [json.loads(Path(path).read_text()) for (path,) in outputs]
            assert found == [[self.contents[key]] for key in keys], f"results are {found}"
        gather_pipeline(self.pipeline("A"))
        numbers = [self.contents[key] for key in keys]
        found = json.loads(Path("out/stats.json").read_text())["items"]
        assert found == [[1, number] for number in numbers], f"statistics are {found}"
        if self.is_dataset:
            dataset = [(x["key"], x["values"]) for x in read_dataset(DATASETS[self.sink])]
            assert dataset == [(key, [self.contents[key]]) for key in keys], f"the dataset is {dataset}"
        self.check()
        done = self.up_to_date("A")
        assert sorted(done) == keys, f"up to date: {sorted(done)}"
        self.check_leftovers()

    def check_leftovers(self):
        """Nothing is left of kills: no half file, and no shard but those that B is yet to gather."""
        with MetricsStore(self.pipeline("A").db_path) as store:
            of_others = {path for path, _ in store.files_of_other_configs(self.pipeline("A").config_hash)}
        left = [str(path) for path in Path("out").iterdir() if "_shard_" in path.name or "tmp" in path.name]
        left = [path for path in left if path not in of_others]
        assert not self.is_dataset or self.databases[0] != self.databases[1] or not left, f"left: {left}"


def values_at(path, key, version):
    """What the sink wrote for an item, wherever it is now."""
    if path in DATASETS.values() or path.endswith("_shards.db"):
        entries = [entry for name in DATASETS.values() if Path(name).exists() for entry in read_dataset(name)]
        held = [entry["values"] for entry in entries if (entry["key"], entry["version"]) == (key, version)]
        return held[0] if held else in_archive("out/data_shards.db", key, version)
    return json.loads(Path(path).read_text())


def read_dataset(name):
    path = Path(name)
    if path.is_file():
        return json.loads(path.read_text())
    found = json.loads((path / "items.json").read_text())
    assert (path / "more" / "count").read_text() == str(len(found)), "a folder of two publications"
    return found


def statistics_at(path, key, version):
    if path == "out/stats.json" or path.endswith("_shards.db"):
        found = in_archive("out/stats_shards.db", key, version)
        return found and flat(found)
    return flat(json.loads(Path(path).read_text()))


def flat(statistics):
    return statistics[0] if isinstance(statistics[0], list) else statistics


def in_archive(path, key, version):
    if not Path(path).exists():
        return None
    with ShardArchive(path) as archive:
        return json.loads(archive.content(key)) if archive.versions().get(key) == version else None


def main(first, n_seeds):
    warnings.simplefilter("ignore")  # of forks beside threads, and of what is missing
    logging.disable(logging.WARNING)
    killed = failed = 0
    for seed in range(first, first + n_seeds):
        folder = tempfile.mkdtemp(dir=Path.cwd())
        with contextlib.chdir(folder):
            history = History(seed)
            try:
                history.go()
            except Exception as error:  # told with what led to it
                refusals = Path("refusals").read_text() if Path("refusals").exists() else ""
                sys.stderr.write("\n  ".join([*history.lines, f"{type(error).__name__}: {error}", refusals]) + "\n")
                failed += 1
                if os.environ.get("KILL_HISTORIES_TRACEBACK"):
                    raise
            killed += history.n_killed
        shutil.rmtree(folder)
    sys.stdout.write(f"{killed}\n")
    return failed


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])) > 0)
