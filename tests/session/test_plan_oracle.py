"""A plan is exact, whatever happened to the items: compared with one made from plain dictionaries."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curator_core.records import IndexResult
from curator_core.session.listing import Listing
from curator_core.session.plan import compare, make_plan
from curator_core.store import MetricsStore, StoreWriter

HASH = "c" * 64


def write_database(path, recorded, *, other=()):
    """Record (key, fingerprint, error, paths) at their positions; `other` keys under another configuration."""
    for config_hash, rows in (("d" * 64, [(key, None, None, ()) for key in other]), (HASH, recorded)):
        with StoreWriter(path, config_hash=config_hash, config_json="{}", resume=True) as writer:
            for index, (key, fingerprint, error, paths) in enumerate(rows):
                status = "completed" if error is None else "error"
                writer.write(IndexResult(index, key, status, fingerprint, tuple(paths), error=error))


def planned(listing, store):
    """The plan of a pipeline without filters."""
    run = store.latest_run(HASH)
    found = compare(listing, () if run is None else store.recorded(run.run_id))
    return make_plan(listing, found, store, HASH, outputs=[], n_stages=2)


def oracle(listed, recorded, other, existing):
    """Reason, recorded fingerprint and detail by index."""
    by_key = {key: rest for key, *rest in recorded}
    present = dict(listed)
    former = {fp: key for key, fp, _, _ in recorded if key not in present and fp is not None}
    found = []
    for key, fingerprint in listed:
        if key not in by_key:
            if fingerprint in former:
                found.append(("moved", None, f"was {former[fingerprint]}"))
            else:
                found.append(("config changed" if key in other else "new", None, ""))
            continue
        before, error, paths = by_key[key]
        gone = next((path for path in paths if path not in existing), None)
        if before != fingerprint:
            found.append(("changed", before, f"{before} → {fingerprint}"))
        elif error is not None:
            found.append(("failed", before, error))
        elif gone is not None:
            found.append(("outputs missing", before, gone))
        else:
            found.append(("up to date", before, ""))
    return found


def check(folder, listed, recorded, other, existing):
    """The plan says what the oracle says, in every way it can be asked."""
    for path in existing:
        Path(path).touch()
    write_database(folder / "run.db", recorded, other=other)
    with MetricsStore(folder / "run.db") as store:
        plan = planned(Listing([k for k, _ in listed], [f for _, f in listed]), store)
    expected = oracle(listed, recorded, other, existing)
    reasons = [reason for reason, _, _ in expected]
    assert [(item.reason, item.recorded_fingerprint, item.detail) for item in plan.items] == expected
    assert [(item.index, item.key, item.fingerprint) for item in plan.items] == [
        (index, key, fingerprint) for index, (key, fingerprint) in enumerate(listed)
    ]
    assert list(plan.counts().items()) == list(Counter(reasons).items())
    assert [item.index for item in plan.due] == [i for i, reason in enumerate(reasons) if reason != "up to date"]
    assert plan.vanished == sorted({key for key, *_ in recorded} - {key for key, _ in listed})
    paths = {key: list(written) for key, _, _, written in recorded}
    assert plan.recorded_paths == [
        paths[key] if reason == "up to date" else None for (key, _), reason in zip(listed, reasons, strict=True)
    ]


@pytest.mark.parametrize("n_items", [20_000, pytest.param(200_000, marks=pytest.mark.campaign)])
def test_many_items(tmp_path, n_items):
    """Many items of every kind at once, shifted by insertions, are all told right."""
    chance = random.Random(7)
    (tmp_path / "out").mkdir()
    recorded, listed, existing = [], [], set()
    for number in range(n_items):
        key, fingerprint, path = f"k{number}", f"f{number}", f"{tmp_path}/out/{number}"
        kind = chance.choices(
            ["same", "failed", "changed", "renamed", "vanished", "added", "lost", "kept"],
            weights=[100, 1, 1, 1, 1, 1, 1, 1],
        )[0]
        error = "ValueError: no" if kind == "failed" else None
        if kind != "added":
            recorded.append((key, fingerprint, error, [path] if kind in {"lost", "kept"} else []))
        if kind == "kept":
            existing.add(path)
        if kind == "renamed":
            listed.append((f"{key}-renamed", fingerprint))
        elif kind != "vanished":
            listed.append((key, "changed" if kind == "changed" else fingerprint))
    check(tmp_path, listed, recorded, {"k0", "k1", *(f"k{n}" for n in range(0, n_items, 3))}, existing)


KEYS = st.sampled_from("abcdefgh")
FINGERPRINTS = st.sampled_from([None, "1", "2"])


@settings(max_examples=60)
@given(
    listed=st.dictionaries(KEYS, FINGERPRINTS),
    recorded=st.dictionaries(
        KEYS, st.tuples(FINGERPRINTS, st.sampled_from([None, "E: x"]), st.lists(st.integers(0, 5), max_size=7))
    ),
    other=st.sets(KEYS),
    existing=st.sets(st.integers(0, 5)),
)
def test_any_few_items(tmp_path_factory, listed, recorded, other, existing):
    """Any listing against any record."""
    folder = tmp_path_factory.mktemp("plan")
    rows = [(key, fp, error, [f"{folder}/{n}" for n in paths]) for key, (fp, error, paths) in recorded.items()]
    check(folder, list(listed.items()), rows, other, {f"{folder}/{n}" for n in existing})


@pytest.fixture
def small_plan(tmp_path):
    write_database(tmp_path / "run.db", [("a", None, None, ()), ("b", None, "E: x", ())])
    with MetricsStore(tmp_path / "run.db") as store:
        return planned(Listing(["a", "b", "c"], [None] * 3), store)


def test_items_are_a_sequence(small_plan):
    """Items can be counted, taken by position from either end, cut and compared."""
    items = small_plan.items
    assert (len(items), items[1].key, items[-1].key) == (3, "b", "c")
    assert items[1:] == [items[1], items[2]] == small_plan.due
    assert small_plan.due[:1] == [items[1]]
    assert small_plan.due != []
    with pytest.raises(IndexError):
        items[3]


def test_counting_makes_no_items(small_plan, monkeypatch):
    """Counts and the number of due items are told without making an object per item."""
    monkeypatch.setattr("curator_core.session.plan.PlannedItem", None)
    assert small_plan.counts() == {"up to date": 1, "failed": 1, "new": 1}
    assert len(small_plan.due) == 2
