"""A process that publishes versions of a folder until it is killed: each file of version k holds k.

In a Delta table there is one of rows, too. The version before is kept, and those before it expire.
"""

from __future__ import annotations

import itertools
import json
import sys

import pyarrow as pa
from pyarrow import parquet

from curator_core.storage.locations import location_of
from curator_core.storage.objects.delta.location import DeltaLocation
from curator_core.storage.objects.keys import bytes_metadata, group_metadata

N_SHARDS = 24
SHARD_BYTES = 3000


def write(staged, version):
    """Stage a Zarr hierarchy of one array."""
    metadata = json.loads(bytes_metadata(N_SHARDS * SHARD_BYTES))
    metadata["chunk_grid"]["configuration"]["chunk_shape"] = [SHARD_BYTES]
    metadata["attributes"]["version"] = version
    (staged / "values" / "c").mkdir(parents=True)
    (staged / "zarr.json").write_bytes(group_metadata({"version": version}))
    (staged / "values" / "zarr.json").write_text(json.dumps(metadata))
    for number in range(N_SHARDS):
        (staged / "values" / "c" / str(number)).write_bytes(bytes([version % 256]) * SHARD_BYTES)


def published(location):
    """The version that stands at a place, ``None`` where there is none; it is checked to be that one alone."""
    found = location.snapshot()
    if found is None:
        return None
    version = json.loads(found.read("zarr.json"))["attributes"]["version"]
    assert json.loads(found.read("values/zarr.json"))["attributes"]["version"] == version
    assert len(found.objects()) == N_SHARDS + 2 + isinstance(location, DeltaLocation)
    for number in range(N_SHARDS):
        assert found.read(f"values/c/{number}") == bytes([version % 256]) * SHARD_BYTES
    return version


def id_of(version):
    """The id of a version."""
    return f"{version:064x}"


def publish(location, version):
    """Publish a version, keep the one that was there, and let the others expire."""
    location.recover()
    location.remove_leftovers()
    before = location.snapshot()
    former = "" if before is None else before.info.version
    with location.publication(version=id_of(version), former=former) as staged:
        write(staged, version)
        if isinstance(location, DeltaLocation):
            parquet.write_table(pa.table({"version": [version] * 3}), staged / "rows.parquet")
    for kept in location.kept_versions():
        if kept != former:
            location.expire_version(kept)
    location.collect()


def kept(location):
    """The former versions that are kept, each whole."""
    found = [int(version, 16) for version in location.kept_versions()]
    assert [published(location.kept_version(id_of(version))) for version in found] == found
    return found


def _say(what):
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def restore(location):
    """Publish the version before again, keep the one that was there, and drop the former place of the restored one."""
    (version,), now = location.kept_versions(), location.snapshot().info.version
    with location.publication(version=version, former=now) as staged:
        location.copy_version(location.kept_version(version), staged)
    location.expire_version(version)
    location.collect()


def main(url, first):
    """Publish one version after the other, as long as this is let live; or restore the version before."""
    location = location_of(url)
    _say("ready")
    sys.stdin.readline()
    if first == "restore":
        restore(location)
        return
    for version in itertools.count(int(first)):
        publish(location, version)
        _say(version)


if __name__ == "__main__":
    main(*sys.argv[1:])
