"""``python trials.py FOLDER PLAN``: fill a disk up at one write after the other, and print what went wrong.

Run it by `unshare`, in a mount namespace of its own. The plan is JSON: situation, kind of shortage, and how much is
left in the trials; a number in place of these is the step from nothing until nothing is short any more.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import multiprocessing
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from disk import Kind, SmallDisk
from situations import SITUATIONS, Situation

from curator_core.errors import CuratorError

TIMEOUT_S = 120
ENOUGH = 2
"""Trials in a row with nothing short end a search."""

_fork = multiprocessing.get_context("fork")


def main(place: str, plan: str) -> None:
    """Carry a plan out; for every trial, a line of JSON."""
    folder, log = Path(place, "disk"), Path(place, "log")
    folder.mkdir()
    log.mkdir()
    places = {"TMPDIR": folder / "tmp", "CURATOR_CACHE_DIR": folder / "cache", "PROCESSED_LOG": log / "processed"}
    os.environ |= {name: str(path) for name, path in places.items()}
    tempfile.tempdir = None
    trials: dict[str, Trials] = {}
    for name, kind, wanted in json.loads(plan):
        tried = trials[name] = trials.get(name) or Trials(SITUATIONS[name](), folder, log)
        for n, error, problems in tried.all(kind, wanted):
            print(json.dumps([name, kind, n, error, problems]), flush=True)  # noqa: T201 - its report


class Trials:
    """Trials of one situation."""

    def __init__(self, situation: Situation, folder: Path, log: Path) -> None:
        self._situation, self._folder, self._log = situation, folder, log
        with self._disk():
            error = self._attempt()
            if error is not None:
                raise AssertionError(f"undisturbed, it fails: {error} {self._printed()}")
            self._expected = self._found()

    def all(self, kind: Kind, wanted: Iterable[int] | int) -> Iterator[tuple[int, str | None, list[str]]]:
        """What is left, how it ended, and what was wrong about that."""
        n_whole = 0
        for n in itertools.count(0, wanted) if isinstance(wanted, int) else wanted:
            error, problems = self._one(kind, n)
            yield n, error, problems
            n_whole = n_whole + 1 if error is None else 0
            if isinstance(wanted, int) and n_whole == ENOUGH:
                return

    def _one(self, kind: Kind, n: int) -> tuple[str | None, list[str]]:
        with self._disk() as disk:
            before = self._situation.published(self._folder)
            disk.leave(kind, n)
            ended = self._attempt()
            disk.lift()
            problems = [*self._told(ended), *self._damaged(before, is_ended=ended is not None)]
            if not self._situation.ends_workers:
                problems += self._left_behind()
            recorded = self._situation.recorded(self._folder)
            again = self._attempt()
            if again is not None:
                problems.append(f"with room, it fails again: {again}")
            elif (found := self._found()) != self._expected:
                problems.append(f"with room, it ends otherwise: {found}, not {self._expected}")
            problems += self._left_behind()
            twice = recorded.intersection((self._log / "processed").read_text().split())
            if twice:
                problems.append(f"recorded, and processed again: {sorted(twice)}")
        return None if ended is None else ended[0], problems

    @contextlib.contextmanager
    def _disk(self) -> Iterator[SmallDisk]:
        disk = SmallDisk(self._folder)
        try:
            for name in ("tmp", "cache"):
                (self._folder / name).mkdir()
            self._situation.prepare(self._folder)
            yield disk
        finally:
            disk.close()

    def _attempt(self) -> tuple[str, str] | None:
        """How it ended in a process of its own: the error, and its traceback where it is none of curator's."""
        (self._log / "processed").write_text("")
        here, there = _fork.Pipe(duplex=False)
        child = _fork.Process(target=_act, args=(self._situation, self._folder, there, self._log / "stderr"))
        child.start()
        there.close()
        try:
            if not here.poll(TIMEOUT_S):
                child.kill()
                return "it hangs", "it hangs"
            ended: tuple[str, str] | None = here.recv()
        except EOFError:
            child.join()
            return f"its process died of {child.exitcode}", "it died"
        else:
            return ended
        finally:
            child.join()
            here.close()

    def _found(self) -> dict[str, Any]:
        return {
            "published": self._situation.published(self._folder),
            "state": self._situation.state(self._folder),
        }

    def _told(self, ended: tuple[str, str] | None) -> Iterator[str]:
        if ended is not None:
            text, raw = ended
            if raw:
                yield f"a raw error: {raw}"
            elif str(self._folder) not in text or not re.search("is full|No space", text):
                yield f"it does not tell which file, and why: {text}"
        if re.search("Traceback|unexpected", self._printed()):
            yield f"it printed {self._printed()}"

    def _printed(self) -> str:
        return (self._log / "stderr").read_text(errors="replace")

    def _left_behind(self) -> Iterator[str]:
        for path in self._folder.rglob("*"):
            name = path.relative_to(self._folder).as_posix()
            if re.search(r"curator-tmp|\.tmp$|-journal$|^tmp/", name):
                yield f"{name} is left, and takes the room"

    def _damaged(self, before: dict[str, str | None], *, is_ended: bool) -> Iterator[str]:
        for name, found in self._situation.published(self._folder).items():
            if is_ended and found not in (before[name], self._expected["published"][name]):
                yield f"{name} is neither as it was nor complete: {found}"


def _act(situation: Situation, folder: Path, told: Connection, errors: Path) -> None:
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
    try:
        situation.act(folder)
    except BaseException as exc:  # noqa: BLE001 - told to the parent
        raw = "" if isinstance(exc, CuratorError) else "".join(traceback.format_exception(exc))
        told.send((f"{type(exc).__name__}: {exc}", raw))
    else:
        told.send(None)


if __name__ == "__main__":
    main(*sys.argv[1:])
