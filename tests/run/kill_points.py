"""Kills a process at every file-system event of an operation, one after the other: ``kill_points.py SCENARIO``.

Python tells an audit hook of every open, rename, removal and database connection, and the databases tell
when a transaction begins and before it is committed. A child is killed at the n-th of these, for all n;
then the operation is repeated undisturbed and its outputs are compared. Prints the number of kill points.
Scenarios: ``gather`` kills a gather after items were added, changed and removed, ``run`` kills the run that
finds them, ``compaction`` the same run when hardly any shard may stay loose.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import sys
from pathlib import Path

from curation_target import build
from killed import killed_at

from curator_core import gather_pipeline, run_pipeline
from curator_core.datasets.versions import list_versions, locate_version
from curator_core.errors import ConfigError, DatasetReplacedError
from curator_core.session import compaction
from curator_core.session.listing import Listing
from curator_core.store import MetricsStore
from curator_core.testing import invocations

EVENTS = ("open", "os.", "shutil.", "sqlite3.")


def curate(folder, *, gathers=True):
    with contextlib.chdir(folder):
        pipeline = build("dataset")
        run_pipeline(pipeline, progress=False)
        return gather_pipeline(pipeline) if gathers else []


def change_inputs(folder):
    (folder / "in" / "a0.txt").write_text("100")
    (folder / "in" / "b.txt").write_text("200 201")
    (folder / "in" / "c.txt").unlink()


def outputs(folder):
    found = [p for p in (folder / "out").iterdir() if p.is_file() and not p.name.endswith("_shards.db")]
    return {p.name: p.read_bytes() for p in found}


def former_version(folder):
    """What is kept of the dataset's former version, as its records and manifest name it."""
    with contextlib.chdir(folder):
        _, former = list_versions("out/data.json")
        assert (former.state, former.record.n_items) == ("kept", 4), former
        return Path(locate_version("out/data.json", former.id)).read_bytes()


def attempts_of_done(folder):
    """How often each item was read that is recorded as complete and has not changed since."""
    with contextlib.chdir(folder):
        pipeline = build("dataset")
        listing = Listing.of(pipeline.source)
        if not pipeline.db_path.exists():
            return {}
        with MetricsStore(pipeline.db_path) as store:
            recorded = store.items(1)
        done = [k for k, i in listing.positions.items() if k in recorded and is_done(recorded[k], listing.item(i))]
        return {key: invocations("log")[key] for key in done}


def is_done(record, item):
    return (record.status, record.fingerprint) == ("completed", item.fingerprint)


def traced(action):
    """Do something while databases tell of their transactions."""

    def connect(*args, **options):
        connection = opened(*args, **options)
        connection.set_trace_callback(lambda sql: sql.startswith(("BEGIN", "COMMIT")) and sys.audit("sqlite3.sql"))
        return connection

    opened, sqlite3.connect = sqlite3.connect, connect
    action()


def main(scenario, step):
    compaction.MAX_LOOSE = 1 if scenario == "compaction" else 500
    base, expected = Path("base"), Path("expected")
    (base / "in").mkdir(parents=True)
    for name in "abcd":
        (base / "in" / f"{name}.txt").write_text(f"{ord(name)}")
    is_loose = scenario != "gather"  # shards that are not merged yet, when items move
    curate(base, gathers=not is_loose)
    old = {} if is_loose else outputs(base)
    change_inputs(base)
    shutil.copytree(base / "in", expected / "in")
    curate(expected)
    new = outputs(expected)
    if scenario == "gather":
        curate(base, gathers=False)
    n = 0
    while True:
        n += step
        work = Path(f"work{n}")
        shutil.copytree(base, work)
        if not killed_at(n, lambda work=work: traced(lambda: curate(work)), EVENTS):
            break
        for name in ("stats.json", "data.json"):
            path = work / "out" / name
            assert (path.read_bytes() if path.exists() else None) in (old.get(name), new[name]), (n, name)
        with contextlib.chdir(work), contextlib.suppress(DatasetReplacedError, ConfigError):
            if old and Path("out/data.json").read_bytes() == old["data.json"]:
                assert list_versions("out/data.json")[0].record.n_items == 4, n
        done = attempts_of_done(work)
        if scenario == "gather":
            with contextlib.chdir(work):
                gather_pipeline(build("dataset"))
        else:
            curate(work)
        assert attempts_of_done(work).items() >= done.items(), (n, "done twice")
        assert outputs(work) == new, (n, outputs(work), new)
        assert is_loose or former_version(work) == old["data.json"], n
        shutil.rmtree(work)
    sys.stdout.write(f"{n - 1}\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
