"""After any history of runs, publications, failures and kills a dataset is the one that is built from scratch."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

pytest.importorskip("ase")
pytest.importorskip("zarr")

from curator_core import gather_pipeline, run_pipeline
from curator_core.datasets import parts
from curator_core.datasets.contents import content_signature
from curator_core.datasets.versions import restore_version, tag_version
from curator_core.domains.atoms import AtomicDataset
from curator_core.errors import DatasetExpiredError
from curator_core.merge.verify import verify_dataset
from curator_core.session import compaction
from curator_core.storage.locations import location_of
from curator_core.testing import invocations
from tests.datasets import curation
from tests.datasets.curation import DATA, build, decoded, from_scratch, held, recorded, write_listing
from tests.datasets.kinds import SINKS, tree
from tests.run.killed import in_child

KEYS = [*(f"run_{n:02d}" for n in range(7)), "é", "a/b"]
VERSIONS = (2, 4, 5, 9)
"""Without those of hundreds of names, which are in the history of the kit alone."""
SIZES = [1, 2, 50]
"""Of segments, in items."""
STEPS = int(os.environ.get("CURATOR_CAMPAIGN_STEPS", "600"))
DONE, REFUSED, KILLED = 0, 3, -9
QUICK = ["sequential"] * 6 + ["thread_pool"] * 2 + ["process_pool"] * 3
SLOW = ["loky"] * 2 + ["dask"]
"""Their workers take a second to start."""
MOMENTS = st.sampled_from([*range(1, 120), *range(1, 400)])
"""Events at which a process dies: a run of some items has about a hundred, a publication two to four hundred."""
OPTIONS = {"process_pool": {"mp_context": "fork"}}


class Published(NamedTuple):
    """What is in the dataset."""

    per_segment: int
    items: list[tuple[str, int]]


class RunHistory(RuleBasedStateMachine):
    """Items come, change, fail and go; runs, publications and restorations are killed; other readers look on."""

    backends = QUICK

    @initialize(
        kind=st.sampled_from(sorted(SINKS)),
        max_loose=st.sampled_from([1, 3, 500]),
        part_bytes=st.sampled_from([1500, 1 << 20]),
        items=st.lists(st.sampled_from(KEYS), min_size=2, unique=True),
    )
    def begin(self, kind, max_loose, part_bytes, items):
        self.kind, self.max_loose = kind, max_loose
        self.part_bytes = part_bytes  # parts that are larger are folders
        self.folder = tempfile.TemporaryDirectory(prefix="run-history-")
        self.root, self.scratch = Path(self.folder.name, "c"), Path(self.folder.name, "scratch")
        (self.root / "out").mkdir(parents=True)
        self.items = [(key, VERSIONS[0]) for key in items]
        self.faulty: set[str] = set()
        self.per_segment, self.keep = 1, 2
        self.published: Published | None = None
        self.exact_for: int | None = 1
        self.unfinished: set[int] = set()
        self.is_described = True
        self.trees: dict[str, dict[str, bytes]] = {}
        self.built: dict[str, dict[str, bytes]] = {}
        self.tagged: set[str] = set()
        self.readers: list[tuple[AtomicDataset, str, list[bytes]]] = []
        self.n_tags = 0

    def teardown(self):
        if hasattr(self, "folder"):
            self.folder.cleanup()

    # What happens to the source and the settings

    @rule(data=st.data(), n=st.integers(1, 3))
    def edit(self, data, n):
        for _ in range(n):
            kind = data.draw(st.sampled_from(["add or change"] * 3 + ["remove", "reorder", "fail or recover"]))
            chosen = data.draw(st.sampled_from(self.items))
            if kind == "add or change":
                key, version = data.draw(st.sampled_from(KEYS)), data.draw(st.sampled_from(VERSIONS))
                listed = [item for item in self.items if item[0] != key]
                listed.insert(data.draw(st.integers(0, len(listed))), (key, version))
                self.items = listed
            elif kind == "remove" and len(self.items) > 1:
                self.items.remove(chosen)
            elif kind == "reorder":
                self.items = data.draw(st.permutations(self.items))
            else:
                self.faulty ^= {chosen[0]}

    @rule(n=st.sampled_from(SIZES), keep=st.integers(1, 3))
    def set(self, n, keep):
        self.keep = keep
        if self.kind != "mesh groups":  # which have no segments: their configuration is one for any number
            self.per_segment = n

    # What is done

    @rule(data=st.data(), gathers=st.booleans())
    def run(self, data, gathers):
        self._run(data.draw(st.sampled_from(self.backends)), gathers=gathers)

    @rule(data=st.data(), gathers=st.booleans(), moment=MOMENTS)
    def run_and_die(self, data, gathers, moment):
        self._run(data.draw(st.sampled_from(QUICK)), gathers=gathers, dies_at=moment)

    @rule(gathers=st.booleans(), moment=st.sampled_from(range(5, 40)))
    def lose_workers(self, gathers, moment):
        self._run("process_pool", gathers=gathers, dies_at=moment, is_worker=True)

    @rule()
    def publish(self):
        self._act(lambda: gather_pipeline(self._pipeline()), runs=False, gathers=True)

    @rule(moment=MOMENTS)
    def publish_and_die(self, moment):
        self._act(lambda: gather_pipeline(self._pipeline()), runs=False, gathers=True, dies_at=moment)

    @precondition(lambda self: self._kept())
    @rule(data=st.data(), moment=st.one_of(st.just(0), MOMENTS))
    def restore(self, data, moment):
        chosen, before = data.draw(st.sampled_from(self._kept())), self._version()
        code = self._in_child(lambda: restore_version(DATA, chosen), moment)
        assert code in {DONE, *([KILLED] if moment else []), *([] if self.is_described else [REFUSED])}, (
            self._refusals()
        )
        self.is_described &= code == DONE or not moment
        self._look()
        assert self._version() in {DONE: (chosen,), REFUSED: (before,), KILLED: (before, chosen)}[code]
        self._check_versions()

    @precondition(lambda self: self.published and self.is_described)
    @rule()
    def tag(self):
        self.n_tags += 1
        assert self._in_child(lambda: tag_version(DATA, "newest", f"t{self.n_tags}")) == DONE, self._refusals()
        self.tagged.add(self._version())

    @precondition(lambda self: self.kind == "atoms" and self.published)
    @rule()
    def open_reader(self):
        reader = AtomicDataset(self.root / DATA)
        self.readers = [*self.readers[-2:], (reader, self._version(), _rows(reader))]

    # What must be so then

    def _run(self, backend, *, gathers, **death):
        options = {"backend": backend, "n_jobs": 1 if backend == "sequential" else 2, **OPTIONS.get(backend, {})}
        options |= {"gather": gathers, "on_error": "skip", "progress": False}
        self._act(lambda: run_pipeline(self._pipeline(), **options), runs=True, gathers=gathers, **death)

    def _act(self, action, *, runs, gathers, dies_at=0, is_worker=False):
        """Run, publish or both, and compare what is there then with what was there before."""
        with self._inside():
            before, up_to_date = recorded(self._pipeline()), self._up_to_date()
            attempts, was = invocations(curation.LOG), self.published
        is_exact = self.exact_for == self.per_segment
        if is_exact:
            assert up_to_date == self._expected_up_to_date(before)
        lost = [key for key, _ in self._completed(before) if before[key][2] and not self._holds(key, before[key][0])]
        code = self._in_child(action, dies_at, is_worker=is_worker)
        is_whole = code in (DONE, REFUSED) and not is_worker
        assert code in ((DONE, REFUSED, KILLED) if dies_at else (DONE, REFUSED)), self._refusals()
        self.is_described &= code != KILLED  # maybe between a publication and its manifest
        self._look()
        with self._inside():
            after, still = recorded(self._pipeline()), self._up_to_date()
            again = {key: n - attempts.get(key, 0) for key, n in invocations(curation.LOG).items()}
        again = {key: n for key, n in again.items() if n}
        assert not up_to_date & again.keys(), "processed again"
        assert up_to_date <= still, "lost"
        expected = Published(self.per_segment, [(key, after[key][0]) for key, _ in self._completed(after)])
        assert self.published in (was, expected) if expected.items else self.published == was
        if code == REFUSED:
            assert self.published == was
            assert not runs or is_worker, self._refusals()
            assert lost or not is_exact or is_worker, self._refusals()
        elif is_whole:
            due = {key for key, _ in self.items} - up_to_date
            if runs:
                self._check_run(due, again, after, is_exact=is_exact)
            if gathers:
                assert runs or not lost
                self._check_publication(was, expected, after)
        is_known = is_exact or runs or (code == DONE and expected.items)
        self.exact_for = self.per_segment if is_whole and is_known else None
        (self.unfinished.discard if is_whole else self.unfinished.add)(self.per_segment)
        self._check_versions()

    def _check_run(self, due, again, after, *, is_exact):
        """Whatever was due was processed once."""
        assert again.keys() <= due
        assert set(again.values()) <= {1}
        assert again.keys() == due or not is_exact  # what a killed run had done may have been in a journal
        failed = due & self.faulty
        wanted = {key: (version, key not in failed) for key, version in self.items}
        assert {key: after[key][:2] for key in wanted} == wanted

    def _check_publication(self, was, expected, after):
        if not expected.items:
            return
        assert self.published == expected
        assert all(after[key][2] for key, _ in expected.items)
        location = location_of(self.root / DATA)
        kept = location.kept_versions()
        changed = was is not None and was != expected
        if changed and self.keep > 1:
            assert self._id_of(was) in kept
        assert len(set(kept) - self.tagged) < self.keep
        with self._inside():
            assert verify_dataset(DATA) == []
            self.is_described = True
            self._check_leftovers(kept)

    def _check_leftovers(self, kept):
        """Nothing is left of kills, but what another configuration is yet to take up."""
        place = Path(DATA)
        own = {
            place.name,
            f"{place.name}.manifest.json",
            f"{place.name}.versions",
            "run.db",
            "run.db.lock",
            "run.db.journals",
        }
        left = {path.name for path in (*place.parent.iterdir(), *Path(curation.DATABASE).parent.iterdir())} - own
        left |= {path.name for path in Path(f"{curation.DATABASE}.journals").glob("*")}
        if self._has_others():
            left = {name for name in left if not name.startswith("data_shard") and not name.endswith(".jsonl")}
        assert not left, left
        inside = {path.name for path in Path(f"{DATA}.versions").glob("*")}
        described = {f"{id_}.manifest.json" for id_ in kept}
        assert described <= inside <= {"records.json", *kept, *described}, inside

    def _check_versions(self):
        """No version ever changes, and readers see theirs, or are told that it is gone."""
        newest, kept = self._version(), self._kept()
        for id_ in kept:
            assert tree(location_of(self.root / DATA).kept_version(id_).work_path) == self.trees[id_], id_
        assert self.tagged <= {newest, *kept}
        for reader, id_, rows in self.readers:
            try:
                assert _rows(reader) == rows
            except DatasetExpiredError:
                assert id_ not in (newest, *kept)

    def _look(self):
        """See what is published: the bytes are those of a build from scratch."""
        if not (self.root / DATA).exists():
            assert self.published is None
            return
        with self._inside():
            versions = held(self._pipeline())
        found = ((n, decoded(versions, self._pipeline(n).config_hash, VERSIONS)) for n in SIZES)
        self.published = next(Published(n, items) for n, items in found if items is not None)
        id_ = content_signature(versions)
        if id_ not in self.built:
            self.built[id_] = from_scratch(self.kind, *self.published, self.scratch)
            shutil.rmtree(self.scratch)
        self.trees[id_] = tree(self.root / DATA)
        assert self.trees[id_] == self.built[id_]

    # What is asked of the folder

    def _pipeline(self, per_segment=None):
        return build(self.kind, per_segment or self.per_segment, keep_versions=self.keep)

    @contextlib.contextmanager
    def _inside(self):
        with contextlib.chdir(self.root):
            write_listing(self.items, sorted(self.faulty))
            yield

    def _in_child(self, action, dies_at=0, *, is_worker=False):
        def act():
            logging.disable(logging.WARNING)
            compaction.MAX_LOOSE = self.max_loose
            vars(parts)["MAX_FILE_BYTES"] = self.part_bytes
            action()

        with self._inside():
            Path("refusals").unlink(missing_ok=True)
            return in_child(act, dies_at, of_worker=is_worker)

    def _refusals(self):
        return (self.root / "refusals").read_text()

    def _up_to_date(self):
        return {item.key for item in self._pipeline().plan().items if not item.is_due}

    def _expected_up_to_date(self, records):
        """Those complete in this version and under this configuration, and in the dataset or not gathered yet."""
        wanted = {key: (version, True) for key, version in self.items}
        return {
            key
            for key, (version, is_complete, is_inside) in records.items()
            if wanted.get(key) == (version, is_complete) and (not is_inside or self._holds(key, version))
        }

    def _holds(self, key, version):
        there = self.published
        return there is not None and there.per_segment == self.per_segment and (key, version) in there.items

    def _completed(self, records):
        return [(key, version) for key, version in self.items if key in records and records[key][1]]

    def _has_others(self):
        """Whether another configuration's items were processed, and not gathered."""
        if self.unfinished - {self.per_segment}:
            return True
        others = (recorded(self._pipeline(n)).values() for n in SIZES if n != self.per_segment)
        return any(is_complete and not is_inside for found in others for _, is_complete, is_inside in found)

    def _kept(self):
        return location_of(self.root / DATA).kept_versions() if hasattr(self, "root") else []

    def _version(self):
        return None if self.published is None else self._id_of(self.published)

    def _id_of(self, published):
        from curator_core.datasets.contents import item_version

        digest = self._pipeline(published.per_segment).config_hash
        return content_signature({key: item_version(key, str(version), digest) for key, version in published.items})


def _rows(reader):
    return [atoms.numbers.tobytes() + atoms.positions.tobytes() for atoms in reader]


def _run(machine, n_examples, n_steps):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forks beside threads, and of what is missing
        run_state_machine_as_test(
            machine, settings=settings(max_examples=n_examples, stateful_step_count=n_steps, deadline=None)
        )


def _in_memory(monkeypatch):
    """A kill loses nothing that was written: what is made durable is made so for a loss of power."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    if os.access("/dev/shm", os.W_OK):
        monkeypatch.setattr(tempfile, "tempdir", "/dev/shm")


def test_a_few_histories(monkeypatch):
    """A sample of the campaign."""
    _in_memory(monkeypatch)
    _run(RunHistory, 4, 10)


class LongRunHistory(RunHistory):
    """Now and then with workers that take a second to start."""

    backends = QUICK * 4 + SLOW


@pytest.mark.campaign
@pytest.mark.timeout(0)
def test_many_histories(monkeypatch):
    """As many steps as ``CURATOR_CAMPAIGN_STEPS`` says."""
    _in_memory(monkeypatch)
    _run(LongRunHistory, max(1, STEPS // 30), 30)
