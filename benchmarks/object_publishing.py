"""Datasets published to an object store and read from it, against its client alone."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.object_server import BUCKET, ObjectServer, environment, object_server
from benchmarks.timing import Row, best_seconds, seconds
from curator_core.storage.objects.keys import bytes_metadata, group_metadata
from curator_core.storage.objects.location import IcechunkLocation
from curator_core.storage.objects.stores import ObjectUrl, object_store

SHARD_BYTES = 1_000_000
_AT_ONCE = 16


def publishing_rows(n_shards: int = 100) -> Iterator[Row]:
    """Time of publishing over that of putting the bytes, of reading over that of getting them, and what 1% costs."""
    with object_server() as server, tempfile.TemporaryDirectory() as folder:
        variables = server.environment | {"CURATOR_WORK_DIR": f"{folder}/work", "CURATOR_CACHE_DIR": f"{folder}/cache"}
        with environment(variables):
            yield from _rows(server, n_shards)


def _rows(server: ObjectServer, n_shards: int) -> Iterator[Row]:
    location = IcechunkLocation(f"s3://{BUCKET}/measured.icechunk")
    shards = {number: os.urandom(SHARD_BYTES) for number in range(n_shards)}
    store: Any = object_store(ObjectUrl.parse(location.path))
    works = {"alone": lambda: asyncio.run(_put(store, shards)), "publish": lambda: _publish(location, shards, n_shards)}
    written = best_seconds(works, 3)
    what = f"{n_shards} shards of {SHARD_BYTES / 1e6:.0f} MB"
    yield Row(f"{what} published as a new version", _over(written["publish"], written["alone"]))
    server.counts()
    changed = max(1, n_shards // 100)
    taken = seconds(
        lambda: _publish(location, {number: os.urandom(SHARD_BYTES) for number in range(changed)}, n_shards)
    )
    sent = server.counts()["PUT bytes"] / (n_shards * SHARD_BYTES)
    part = f"{taken:.2f} s, {100 * taken / written['publish']:.0f}% of the time of all, {100 * sent:.1f}% of the bytes"
    yield Row(f"the same with {changed} of them changed, the others kept", part)
    snapshot = location.snapshot()
    assert snapshot is not None
    names = [f"values/c/{number}" for number in range(n_shards)]
    read = best_seconds(
        {
            "alone": lambda: [len(store.get(f"plain/{number}").bytes()) for number in range(n_shards)],
            "read": lambda: [len(snapshot.read(name)) for name in names],
        },
        3,
    )
    yield Row(f"{what} read one after another", _over(read["read"], read["alone"]))


def _over(taken: float, alone: float) -> str:
    return f"{taken:.2f} s, {taken / alone:.2f} × obstore alone"


async def _put(store: Any, shards: Mapping[int, bytes]) -> None:
    limit = asyncio.Semaphore(_AT_ONCE)

    async def put(number: int, content: bytes) -> None:
        async with limit:
            await store.put_async(f"plain/{number}", content)

    await asyncio.gather(*(put(number, content) for number, content in shards.items()))


def _publish(location: IcechunkLocation, shards: Mapping[int, bytes], n_shards: int) -> None:
    metadata = json.loads(bytes_metadata(n_shards * SHARD_BYTES))
    metadata["chunk_grid"]["configuration"]["chunk_shape"] = [SHARD_BYTES]
    with location.publication() as staged:
        chunks = staged / "values" / "c"
        chunks.mkdir(parents=True)
        (staged / "zarr.json").write_bytes(group_metadata())
        (staged / "values" / "zarr.json").write_text(json.dumps(metadata), encoding="utf-8")
        for number in range(n_shards):
            if number in shards:
                Path(chunks, str(number)).write_bytes(shards[number])
            else:
                location.keep(f"values/c/{number}", chunks / str(number))
