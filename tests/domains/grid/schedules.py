"""Random schedules of items over processes, which write one dataset; `main` goes through many.

Files come late, are corrected, break and go, in shards that they share; two processes that stay write the parts at the
same time, some of them both, from what they saw of the dataset when they began; some are killed within. After each
publication every value is what netCDF4 reads of the file that gives it, every slot has its state, the dataset verifies,
and its bytes are those of a build from scratch.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from curator_core.datasets.aligned import whole_shards
from curator_core.datasets.contents import item_version
from curator_core.domains.grid.sinks import GridZarrSink
from curator_core.domains.grid.sources import NetCDFSource
from curator_core.errors import ComponentError, MergeError
from curator_core.pipeline.components import MergeItem, shard_path
from tests.domains.grid.schedule_plans import CONFIG, Plan, compare_with_scratch, made
from tests.run.killed import is_change


class Process:
    """A process that writes parts and publishes until it is told to end, or is killed."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._start()

    def _start(self) -> None:
        self.pipe, other = self._context.Pipe()
        self._process = self._context.Process(target=_serve, args=(other,), daemon=True)
        self._process.start()
        other.close()

    def ask(self, *command: object) -> None:
        """Send a command, of which `answer` has the end."""
        found = [(type(c), c.__dict__) if isinstance(c, GridZarrSink | NetCDFSource) else c for c in command]
        self.pipe.send_bytes(pickle.dumps(found))

    def answer(self) -> tuple[str, str]:
        """How the last command ended: ``done``, ``refused`` with a reason, or ``killed``."""
        try:
            found: tuple[str, str] = pickle.loads(self.pipe.recv_bytes())
        except (EOFError, ConnectionResetError):
            self._process.join()
            assert self._process.exitcode == -signal.SIGKILL, self._process.exitcode
            self._start()
            return "killed", ""
        return found

    def end(self) -> None:
        """End the process."""
        self.pipe.close()
        self._process.join()


class _Served:
    def __init__(self) -> None:
        self._left = 0
        sys.addaudithook(self._count)

    def take(self, sink: tuple[type, dict[str, Any]], source: tuple[type, dict[str, Any]], whole_bytes: int) -> None:
        """Begin with another schedule, or look at the dataset anew."""
        self._sink = made(*sink)
        self.turn_to(source)
        vars(whole_shards)["WHOLE_BYTES"] = whole_bytes

    def turn_to(self, source: tuple[type, dict[str, Any]]) -> None:
        """Take other files, with what is known of the dataset."""
        self._source = made(*source)
        self._sink.set_source(self._source)

    def die(self, n_events: int) -> None:
        """Kill this process at the n-th change of a folder from now on; never for 0."""
        self._left = n_events

    def _count(self, event: str, details: Any) -> None:
        if self._left and is_change(event, details):
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)

    def write(self, index: int) -> None:
        """Write the part of an item."""
        self._sink(iter(self._source[index]), index)

    def publish(self, items: list[MergeItem], previous: str | None, path: str) -> None:
        """Publish."""
        self._sink.merge_items(items, previous, path)


def _serve(pipe: Any) -> None:
    served = _Served()
    while True:
        try:
            name, *arguments = pickle.loads(pipe.recv_bytes())
        except EOFError:
            return
        try:
            getattr(served, name)(*arguments)
            found = "done", ""
        except (ComponentError, MergeError) as exc:
            found = "refused", str(exc)
        pipe.send_bytes(pickle.dumps(found))


class Processes:
    """Two processes that go through schedules, one after the other."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.domains.grid.schedules"])
        self._all = [Process(context) for _ in range(2)]
        self.counts: Counter[str] = Counter()

    def end(self) -> None:
        """End them."""
        for process in self._all:
            process.end()

    def go(self, folder: Path, seed: int) -> None:
        """Go through one schedule, of one to three refreshes."""
        plan = Plan(folder, seed)
        plan.begin()
        for number in range(int(plan.random.integers(1, 4))):
            if number:
                plan.change()
            self._refresh(plan, number)
        self.counts["schedules"] += 1

    def _know(self, plan: Plan, source: NetCDFSource, *, anew: bool) -> None:
        for process in self._all:
            if anew or plan.random.random() < 0.7:
                process.ask("take", plan.sink(), source, plan.whole_bytes)
            else:
                process.ask("turn_to", source)
            assert process.answer() == ("done", "")

    def _refresh(self, plan: Plan, number: int) -> None:
        path, source = plan.folder / "d.zarr", plan.source()
        self._know(plan, source, anew=not number)
        held = plan.sink().retained_items(str(path))
        items = []
        for index in range(len(source)):
            key, mark = source.key(index), source.fingerprint(index)
            version = item_version(key, mark, CONFIG)
            part = None if held.get(key) == version else Path(shard_path(path, index, ".part"))
            items.append(MergeItem(index, key, mark, version, part))
        refused = self._write(plan, [item for item in items if item.shard is not None])
        broken = {key for key, steps in plan.items.items() if steps.is_broken}
        assert set(refused) == broken, refused
        there = [item for item in items if item.key not in broken]
        self._publish(plan, there, path, number)

    def _write(self, plan: Plan, items: list[MergeItem]) -> dict[str, str]:
        """Write parts in both processes at once, in any order, some of them in both; what was refused, by key."""
        due = [item for item in items for _ in range(2 if plan.random.random() < 0.15 else 1)]
        due = [due[n] for n in plan.random.permutation(len(due))]
        if due and plan.random.random() < 0.1:
            self._kill(plan, self._all[plan.random.integers(2)], ("write", due[0].index))
        refused: dict[str, str] = {}
        while due:
            pairs = list(zip(self._all, [due.pop() for _ in range(min(len(due), 2))], strict=False))
            for process, item in pairs:
                process.ask("write", item.index)
            for process, item in pairs:
                state, reason = process.answer()
                assert state in ("done", "refused"), state
                if state == "refused":
                    refused[item.key] = reason
        return refused

    def _kill(self, plan: Plan, process: Process, command: tuple[object, ...]) -> None:
        process.ask("die", int(plan.random.integers(1, 12)))
        assert process.answer() == ("done", "")
        process.ask(*command)
        was_killed = process.answer()[0] == "killed"
        self.counts["kills"] += was_killed
        process.ask("die", 0)
        assert process.answer() == ("done", "")
        process.ask("take", plan.sink(), plan.source(), plan.whole_bytes)
        assert process.answer() == ("done", "")

    def _publish(self, plan: Plan, items: list[MergeItem], path: Path, number: int) -> None:
        previous = str(path) if path.exists() else None
        process = self._all[plan.random.integers(2)]
        if plan.random.random() < 0.05:
            self._kill(plan, process, ("publish", items, previous, str(plan.folder / f"killed-{number}.zarr")))
        staged, expected = plan.folder / f"staged-{number}.zarr", plan.expected()
        process.ask("publish", items, previous, str(staged))
        state, reason = process.answer()
        if expected is None:
            assert state == "refused", (state, reason)
            assert "both give" in reason
            self.counts["refusals"] += 1
            return
        assert state == "done", reason
        plan.owners = expected
        if previous is not None:
            path.rename(plan.folder / f"former-{number}.zarr")
        staged.rename(path)
        plan.compare(path)
        self.counts["publications"] += 1
        if not plan.is_failing and plan.axis != "learned":
            compare_with_scratch(plan, items, number)
            self.counts["compared with scratch"] += 1
        if plan.random.random() < 0.7:
            for part in plan.folder.glob("d_shard_*"):
                shutil.rmtree(part) if part.is_dir() else part.unlink()


def main(n_schedules: int, first: int) -> None:
    """Go through schedules, and say how many."""
    processes = Processes()
    for seed in range(first, first + n_schedules):
        with tempfile.TemporaryDirectory() as folder:
            try:
                processes.go(Path(folder), seed)
            except BaseException:
                sys.stderr.write(f"schedule {seed}\n")
                raise
    processes.end()
    sys.stdout.write(json.dumps(processes.counts) + "\n")
