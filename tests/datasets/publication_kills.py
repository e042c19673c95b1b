"""Kills publications of a curation in a new folder: ``publication_kills.py PLACE N_KILLS SEED KIND``.

The place is ``out/data.zarr``, or the URL of a repository or Delta table. Before each kill some items change and are
processed; the publication dies at some file-system event, or at some time. What is there then is exactly the former
version or the new one, and the next publication leaves the new one, and nothing else. Everything is done in forked
children, since a process that used a client of an object store cannot be forked. Prints how often the former and the
new one were found.
"""

from __future__ import annotations

import hashlib
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from curator_core import gather_pipeline, open_dataset, run_pipeline
from curator_core.domains.table.written import converted
from curator_core.merge.verify import verify_dataset
from curator_core.storage.locations import location_of
from tests.datasets.curation import build, decoded, from_scratch, held, write_listing
from tests.datasets.kinds import content
from tests.run.killed import in_child, is_change

KEYS = [f"run_{n:02d}" for n in range(7)]
VERSIONS = (2, 4, 5, 9)
LOOKED_AT = 8
"""Kills after which a repository is searched for what no version refers to, which takes long."""


class Publications:
    """A curation whose publications are killed."""

    def __init__(self, place, seed, kind):
        self.place, self.chance, self.kind = place, random.Random(seed), kind
        self.items_per_segment = 1 + seed % 2
        self.listed = [(key, VERSIONS[0]) for key in KEYS[::2]]
        self.n_done = 0
        self.takes_s, self.n_events = 1.0, 1

    def pipeline(self):
        return build(self.kind, self.items_per_segment, self.place)

    def change(self):
        """One to three items come, change, move or go."""
        for _ in range(self.chance.randint(1, 3)):
            key = self.chance.choice(KEYS)
            self.listed = [item for item in self.listed if item[0] != key or len(self.listed) == 1]
            if self.chance.random() < 0.8 and key not in dict(self.listed):
                item = (key, self.chance.choice(VERSIONS))
                self.listed.insert(self.chance.randint(0, len(self.listed)), item)
        write_listing(self.listed)

    def do(self, action, *, after_s=0.0, at_event=0):
        """Do something in a child, which may die after some time, or at an event; how that ended."""

        def act():
            signal.setitimer(signal.ITIMER_REAL, after_s)  # nobody handles it: it ends the process like SIGKILL
            action()

        return in_child(act, at_event)

    def publish(self):
        """Undisturbed; how long that takes, and how many events it has, is noted."""
        begun = time.monotonic()
        assert self.do(self._publish) == 0, Path("refusals").read_text()
        self.takes_s = max(0.7 * self.takes_s, time.monotonic() - begun)  # one that goes on after a kill has less to do
        self.n_events = max(self.n_events, int(Path("n_events").read_text()))

    def _publish(self):
        n_events = 0

        def count(event, details):
            nonlocal n_events
            n_events += bool(is_change(event, details))

        sys.addaudithook(count)
        gather_pipeline(self.pipeline())
        Path("n_events").write_text(str(n_events))

    def kill_one(self):
        """Kill a publication; whether it was still going on."""
        publish = lambda: gather_pipeline(self.pipeline())  # noqa: E731 - done in a child
        if "://" in self.place and self.chance.random() < 0.7:
            code = self.do(publish, after_s=self.takes_s * self.chance.uniform(0.02, 1))
        else:
            code = self.do(publish, at_event=self.chance.randint(1, self.n_events))
        assert code in (0, -signal.SIGKILL, -signal.SIGALRM), Path("refusals").read_text()
        return code != 0

    def look(self, *, is_searched=False):
        """Items that are published, and a hash of all files."""
        assert self.do(lambda: self._look(is_searched=is_searched)) == 0, Path("refusals").read_text()
        items, digest = json.loads(Path("found.json").read_text())
        return [tuple(item) for item in items], digest

    def _look(self, *, is_searched):
        location = location_of(self.place)
        pipeline = self.pipeline()
        items = decoded(held(pipeline, self.place), pipeline.config_hash, VERSIONS)
        files = {name: location.read(name) for name in location.objects()}
        digest = hashlib.sha256()
        for name in sorted(files):
            digest.update(f"{name} {hashlib.sha256(files[name]).hexdigest()}\n".encode())
        expected = [sample for key, version in items for sample in content(self.kind, key, version)]
        opened = open_dataset(self.place)
        if self.kind == "tables":
            for (key, _), table in zip(items, expected, strict=True):
                assert converted(opened.item(key), table.schema, key).equals(table)
        else:
            assert list(map(_places, opened)) == list(map(_places, expected))
        if is_searched:
            assert verify_dataset(self.place) == []
            self._search(location)
            if "://" not in self.place:
                with tempfile.TemporaryDirectory() as folder:
                    scratch = from_scratch(self.kind, self.items_per_segment, items, Path(folder, "c"))
                assert files == scratch
        Path("found.json").write_text(json.dumps([items, digest.hexdigest()]))

    def _search(self, location):
        """Nothing is left beside the dataset, or in the repository."""
        work = location.work_path
        own = {work.name, f"{work.name}.manifest.json", f"{work.name}.versions"}
        left = {path.name for path in work.parent.iterdir()} - own
        assert not left
        versions = work.with_name(f"{work.name}.versions")
        kept = location.kept_versions()
        allowed = {"records.json", *kept, *(f"{name}.manifest.json" for name in kept)}
        assert {path.name for path in versions.glob("*")} <= allowed
        if "://" in self.place and self.n_done % LOOKED_AT == 0:
            from curator_core.storage.objects import stores

            assert _n_unneeded(self.place) == 0
            store = stores.object_store(stores.ObjectUrl.parse(self.place))
            assert not [x["path"] for page in store.list() for x in page if ".curator-publishing/" in x["path"]]

    def go(self, n_kills):
        """Kill publications until that many died."""
        write_listing(self.listed)
        assert self.do(lambda: run_pipeline(self.pipeline(), progress=False)) == 0, Path("refusals").read_text()
        self.publish()
        found, old = Counter(), self.look(is_searched=True)
        while self.n_done < n_kills:
            self.change()
            assert self.do(lambda: run_pipeline(self.pipeline(), progress=False)) == 0, Path("refusals").read_text()
            was_killed = self.kill_one()
            self.n_done += was_killed
            there = self.look()
            self.publish()
            new = self.look(is_searched=True)
            assert new[0] == self.listed
            assert there in (old, new), (self.n_done, there, old, new)
            found["new" if there == new else "old"] += was_killed
            old = new
        return found


def _n_unneeded(place):
    """Objects that no version refers to."""
    if place.endswith(".delta"):
        from curator_core.storage.objects.delta.folder import ObjectFolder
        from curator_core.storage.objects.delta.versions import unneeded

        return len(list(unneeded(place, ObjectFolder(place), datetime.now(UTC) + timedelta(days=1))))
    from curator_core.storage.objects.repository import repository

    summary = repository(place).garbage_collect(datetime.now(UTC))
    return summary.chunks_deleted + summary.manifests_deleted + summary.snapshots_deleted


def _places(sample):
    """Positions of atoms, or points of the parts of a mesh."""
    if hasattr(sample, "parts"):
        return {name: part.points.tolist() for name, part in sample}
    return sample.positions.tolist()


def main(place, n_kills, seed, kind):
    found = Publications(place, seed, kind).go(n_kills)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
