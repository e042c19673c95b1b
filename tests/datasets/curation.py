"""A pipeline that publishes a dataset of listed items, in the current folder, for tests that change the list."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from curator_core import Pipeline, Source, run_pipeline
from curator_core.datasets.contents import item_version
from curator_core.errors import ComponentError
from curator_core.pipeline.components import ShardedSink
from curator_core.storage.locations import location_of
from curator_core.store import MetricsStore
from curator_core.testing import FaultySource
from tests.datasets.kinds import SINKS, content, tree

DATA = "out/data.zarr"
DATABASE = "db/run.db"
LISTING = "listing.json"
LOG = "log"

Items = Sequence[tuple[str, int]]
"""Key and version of each, in order."""


class ListedSource(Source[Any]):
    """The items that the file ``listing.json`` names; some of them fail."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    @cached_property
    def _listed(self) -> dict[str, Any]:
        return json.loads(Path(LISTING).read_text())

    def __len__(self) -> int:
        return len(self._listed["items"])

    def key(self, index: int) -> str:
        return self._listed["items"][index][0]

    def fingerprint(self, index: int) -> str:
        return str(self._listed["items"][index][1])

    def __getitem__(self, index: int) -> Generator[Any, None, None]:
        key, version = self._listed["items"][index]
        if key in self._listed["faulty"]:
            raise ComponentError(f"{key} is faulty", component="ListedSource", key=key)
        yield from content(self.kind, key, version)


def write_listing(items: Items, faulty: Sequence[str] = ()) -> None:
    """What the source lists from now on."""
    Path(LISTING).write_text(json.dumps({"items": items, "faulty": list(faulty)}))


def build(kind: str, per_segment: int = 1, data: str = DATA, **settings: Any) -> Pipeline[Any]:
    """The pipeline; paths are relative, so that copies of the folder have the same configuration."""
    source = FaultySource(ListedSource(kind), LOG)
    steps = source.write(SINKS[kind](data, items_per_segment=per_segment))
    return steps.with_settings(db_file=DATABASE, resume=True, track_memory=False, **settings)


def from_scratch(kind: str, per_segment: int, items: Items, folder: Path) -> dict[str, bytes]:
    """Files of the dataset of some items, made in a new folder."""
    folder.mkdir()
    with contextlib.chdir(folder):
        write_listing(items)
        run_pipeline(build(kind, per_segment), gather=True, progress=False)
        return tree(DATA)


def held(pipeline: Pipeline[Any], data: str = DATA) -> dict[str, str]:
    """Versions by key of the items that are published, in their order."""
    assert isinstance(pipeline.sink, ShardedSink)
    return pipeline.sink.retained_items(data) if location_of(data).exists() else {}


def decoded(versions: dict[str, str], digest: str, known: Sequence[int]) -> list[tuple[str, int]] | None:
    """The items with these versions; ``None`` where some are of another configuration."""
    found = [
        (key, next((v for v in known if item_version(key, str(v), digest) == its), -1)) for key, its in versions.items()
    ]
    return None if any(version < 0 for _, version in found) else found


def recorded(pipeline: Pipeline[Any]) -> dict[str, tuple[int, bool, bool]]:
    """Version of each item that is recorded, whether it is complete, and whether it is in the dataset already."""
    if not Path(DATABASE).exists():
        return {}
    with MetricsStore(DATABASE) as store:
        run = store.latest_run(pipeline.config_hash)
        if run is None:
            return {}
        places = {record.key: path for record, path, _ in store.completed_outputs(run.run_id, None)}
        items = store.items(run.run_id).items()
    return {
        key: (int(item.fingerprint), item.status == "completed", places.get(key) == DATA)
        for key, item in items
        if item.fingerprint is not None
    }
