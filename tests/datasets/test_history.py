"""After any history of publications the bytes are those of a dataset that is built from scratch."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

pytest.importorskip("ase")
pytest.importorskip("zarr")

from curator_core.datasets import segment_tasks
from curator_core.datasets.workers import encoding_in
from curator_core.pipeline.components import MergeItem
from tests.datasets.kinds import SINKS, content, tree

KEYS = st.sampled_from([f"run_{n:02d}" for n in range(9)] + ["é", "a/b"])
STEPS = int(os.environ.get("CURATOR_CAMPAIGN_STEPS", "600"))


class History(RuleBasedStateMachine):
    """Items come, change, go and move; publications take what they can from the dataset before."""

    @initialize(kind=st.sampled_from(sorted(SINKS)))
    def begin(self, kind):
        self.kind = kind
        self.folder = tempfile.TemporaryDirectory(prefix="history-")
        self.root = Path(self.folder.name)
        self.items: list[tuple[str, int]] = []
        self.again: set[str] = set()
        self.published: Path | None = None
        self.n = 0
        self.per_segment = 1

    def teardown(self):
        if hasattr(self, "folder"):
            self.folder.cleanup()

    @rule(key=KEYS, version=st.integers(0, 9), position=st.integers(0, 8))
    def add_or_change(self, key, version, position):
        listed = [item for item in self.items if item[0] != key]
        listed.insert(position, (key, version))
        self.items = listed

    @rule(data=st.data())
    def remove(self, data):
        if self.items:
            self.items.remove(data.draw(st.sampled_from(self.items)))

    @rule(data=st.data())
    def reorder(self, data):
        self.items = data.draw(st.permutations(self.items))

    @rule(key=KEYS)
    def process_again(self, key):
        self.again.add(key)

    @rule(n=st.sampled_from([1, 2, 3, 50]))
    def other_segments(self, n):
        self.per_segment = n

    @rule(workers=st.sampled_from(["none", "all", "killed"]))
    def publish(self, workers):
        sink, held = self._sink(), {}
        if self.published is not None:
            held = sink.retained_items(str(self.published))
        known = {key for key, version in self.items if held.get(key) == str(version)} - self.again
        self.n += 1
        target = self.root / f"{self.n}.zarr"
        previous = None if self.published is None else str(self.published)
        items = list(self._merge_items(without=known))
        with encoding_in(self.root / "segments", None if workers == "none" else partial(self._encode, workers)):
            try:
                sink.merge_items(items, previous, str(target))
            except InterruptedError:  # the next publication takes what was encoded
                shutil.rmtree(target)
                self.n -= 1
                return
        self.published, self.again, self.state = target, set(), (list(self.items), self.per_segment)

    @staticmethod
    def _encode(workers, pipeline, _):
        """Encode segments in place of workers; where they are killed, half of them."""
        n = len(pipeline) if workers == "all" else len(pipeline) // 2
        for index in range(n):
            pipeline.sink(pipeline.source[index], index)
        if n < len(pipeline):
            raise InterruptedError

    @invariant()
    def the_bytes_are_those_of_a_build_from_scratch(self):
        if getattr(self, "published", None) is None or self.n == getattr(self, "checked", 0):
            return
        scratch = self.root / "scratch.zarr"
        self._sink().merge_items(list(self._merge_items()), None, str(scratch))
        assert tree(self.published) == tree(scratch)
        retained = self._sink().retained_items(str(self.published))
        assert list(retained.items()) == [(key, str(version)) for key, version in self.items]
        shutil.rmtree(scratch)
        self.checked = self.n

    def _sink(self):
        return SINKS[self.kind](str(self.root / "d.zarr"), items_per_segment=self.per_segment)

    def _merge_items(self, without: Collection[str] = ()) -> Iterator[MergeItem]:
        for index, (key, version) in enumerate(self.items):
            part = self.root / f"{key.replace('/', '-')}-{version}.part"
            if key not in without and not part.exists():
                self._sink().write_shard(iter(content(self.kind, key, version)), str(part))
            yield MergeItem(index, key, f"f{version}", str(version), None if key in without else part)


@pytest.fixture(autouse=True)
def _few_are_worth_it(monkeypatch):
    """Workers encode segments however small."""
    monkeypatch.setattr(segment_tasks, "LEAST_BYTES", 0)


def _run(n_examples, n_steps):
    run_state_machine_as_test(
        History, settings=settings(max_examples=n_examples, stateful_step_count=n_steps, deadline=None)
    )


def test_a_few_histories():
    """A sample of the campaign."""
    _run(6, 12)


@pytest.mark.campaign
def test_many_histories():
    """As many steps as ``CURATOR_CAMPAIGN_STEPS`` says."""
    _run(max(1, STEPS // 40), 40)
