"""The metrics store against a dictionary."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from curator_core.records import Artifact, IndexResult, StageMetrics
from curator_core.store import JournalWriter, MetricsStore, StoreWriter, journal_directory

KEYS = st.sampled_from("abcdef")


def result(index, key, number, status):
    """A result whose every part tells its number."""
    return IndexResult(
        index=index,
        key=key,
        status=status,
        fingerprint=f"fp{number}",
        output_paths=(f"/out/{number}", f"/more/{number}") if status == "completed" else (),
        artifacts=(Artifact(f"/art/{number}", "f", 1),) if status == "completed" else (),
        stages=(StageMetrics("source", number), StageMetrics("sink", 2 * number)),
        wall_time_ns=3 * number,
        error=None if status == "completed" else f"ValueError: {number}",
        worker_id=f"worker{number % 2}",
        worker_host="host",
        started_at="2026-01-01T00:00:00+00:00",
        completed_at=f"2026-01-01T00:00:00.{number:06d}+00:00",
    )


class StoreMachine(RuleBasedStateMachine):
    """Writes, journals, folds, reopening, forgetting and shifting listings."""

    @initialize()
    def begin(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "run.db"
        self.listing = list("abc")
        self.model = {}
        self.journaled = {}
        self.number = 0
        self.writer = self.open()

    def open(self):
        return StoreWriter(self.path, config_hash="c" * 64, config_json="{}", resume=True)

    def make(self, key, status):
        self.number += 1
        return result(self.listing.index(key), key, self.number, status)

    @rule(key=KEYS, status=st.sampled_from(["completed", "error"]))
    def write(self, key, status):
        if key in self.listing:
            made = self.make(key, status)
            self.writer.write(made)
            self.model[key] = made

    @rule(key=KEYS, torn=st.booleans())
    def journal(self, key, torn):
        """A worker that outlives its coordinator; the last line may be torn."""
        if key in self.listing:
            made = self.make(key, "completed")
            with JournalWriter(journal_directory(self.path), "c" * 64) as journal:
                journal.append(made)
            if torn:
                with journal.path.open("ab") as file:
                    file.write(replace(made, index=0).to_json().encode()[:40])
            self.journaled[key] = made

    @rule()
    def fold(self):
        self.writer.fold()
        for key, made in self.journaled.items():
            recorded = self.model.get(key)
            is_older = recorded is not None and recorded.completed_at >= made.completed_at
            is_same = is_older and (recorded.status, recorded.fingerprint) == ("completed", made.fingerprint)
            if not is_same:
                self.model[key] = made
        self.journaled = {}
        self.writer.reindex(self.listing)

    @rule(keys=st.permutations("abcdef"), count=st.integers(1, 6))
    def shift(self, keys, count):
        """The source lists other items, or in another order."""
        self.fold()
        self.listing = keys[:count]
        self.writer.reindex(self.listing)

    @rule(key=KEYS)
    def forget(self, key):
        self.fold()
        if key in self.listing:
            self.writer.forget([self.listing.index(key)])
            self.model.pop(key, None)

    @rule()
    def reopen(self):
        self.writer.close()
        self.writer = self.open()

    @invariant()
    def agrees(self):
        self.writer.flush()
        with MetricsStore(self.path) as store:
            items = store.items(self.writer.run_id)
            outputs, artifacts = store.output_paths(self.writer.run_id), store.artifacts(self.writer.run_id)
            times = {m.index: m.stages for m in store.metrics(self.writer.run_id)}
        assert set(items) == set(self.model)
        for key, made in self.model.items():
            record = items[key]
            assert (record.status, record.fingerprint, record.error) == (made.status, made.fingerprint, made.error)
            assert tuple(outputs.get(record.index, ())) == made.output_paths
            assert tuple(artifacts.get(record.index, ())) == made.artifacts
            if key in self.listing:
                assert record.index == self.listing.index(key)
            else:
                assert record.index < 0
            if record.index >= 0 and made.is_completed:
                assert times[record.index] == list(made.stages)

    def teardown(self):
        if hasattr(self, "writer"):
            self.writer.close()
            self.folder.cleanup()


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
