"""A staged folder, published to a repository as one commit."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from curator_core.storage.objects.keys import (
    IMPLIED,
    OTHERS,
    Node,
    bytes_metadata,
    coordinates,
    group_metadata,
    in_order,
    is_in_hierarchy,
    metadata_node,
    other_array,
)
from curator_core.storage.objects.snapshots import Snapshot, fetch

if TYPE_CHECKING:
    import icechunk

_KEPT: Final = "curator-kept:"
_VERSION: Final = "curator-version:"
_AT_ONCE: Final = 16
_LARGE_BYTES: Final = 32 << 20
"""Content from this size on is held in memory one at a time."""


def leave_kept(name: str, staged: Path) -> None:
    """Note in a staged folder that an object is taken over as it is.

    The note is a link that leads nowhere, so that nobody takes it for content.
    """
    staged.parent.mkdir(parents=True, exist_ok=True)
    staged.symlink_to(f"{_KEPT}{name}")


def leave_version(version: str, staged: Path) -> None:
    """Note in place of a staged folder that it is a former version as a whole."""
    staged.symlink_to(f"{_VERSION}{version}")


def staged_version(staged: Path) -> str:
    """The former version that is staged; empty where a folder or file is."""
    target = os.readlink(staged) if staged.is_symlink() else ""  # noqa: PTH115 - a text, which is no path
    return target.removeprefix(_VERSION) if target.startswith(_VERSION) else ""


@dataclass(frozen=True, slots=True)
class Kept:
    """An object of the version before that is taken over."""

    name: str
    """Its name there."""


def staged_objects(staged: Path) -> dict[str, Path | Kept]:
    """What is staged, by name."""
    if not staged.is_dir():
        return {"": staged}
    return {path.relative_to(staged).as_posix(): _source(path) for path in _files(staged)}


def _files(folder: Path) -> Iterator[Path]:
    return (Path(place, name) for place, _, names in os.walk(folder) for name in names)


def _source(path: Path) -> Path | Kept:
    target = os.readlink(path) if path.is_symlink() else ""  # noqa: PTH115 - a text, which is no path
    return Kept(target.removeprefix(_KEPT)) if target.startswith(_KEPT) else path


@dataclass
class Contents:
    """What a repository is to hold: by key, a local file, an object that is kept, or the bytes themselves."""

    metadata: dict[str, bytes] = field(default_factory=dict)
    """Of groups and arrays."""
    chunks: dict[str, Path | Kept] = field(default_factory=dict)
    """Everything else; keys of those that are kept are in the version before."""

    @classmethod
    def of(cls, staged: Mapping[str, Path | Kept], before: Snapshot | None) -> Contents:
        """The keys for what is staged."""
        contents = cls()
        nodes: dict[str, Node] = {}
        for name, content in _metadata(staged, before):
            if (node := Node.of(content)) is not None:
                nodes[str(metadata_node(name))], contents.metadata[name] = node, content
        for name, source in staged.items():
            if is_in_hierarchy(name, nodes):
                if name not in contents.metadata:
                    contents.chunks[name] = _kept_key(source, before)
            else:
                contents._add_other(name, source, before)
        if "zarr.json" not in contents.metadata:
            contents.metadata["zarr.json"] = group_metadata({IMPLIED: True})
        return contents

    def _add_other(self, name: str, source: Path | Kept, before: Snapshot | None) -> None:
        size = source.stat().st_size if isinstance(source, Path) else _required(before).objects()[source.name]
        path = other_array(name)
        self.metadata[f"{OTHERS}/zarr.json"] = group_metadata()
        self.metadata[f"{path}/zarr.json"] = bytes_metadata(size)
        if size:
            self.chunks[f"{path}/c/0"] = _kept_key(source, before)

    @property
    def content_hash(self) -> str | None:
        """What the dataset says of its content, in the attributes of its root."""
        found = json.loads(self.metadata["zarr.json"]).get("attributes", {}).get("content_hash")
        return found if isinstance(found, str) else None


def _required(before: Snapshot | None) -> Snapshot:
    if before is None:
        raise FileNotFoundError("an object is to be kept of an output that is not there")
    return before


def _metadata(staged: Mapping[str, Path | Kept], before: Snapshot | None) -> Iterator[tuple[str, bytes]]:
    """Name and content of what is staged under a name of metadata."""
    kept = {}
    for name, source in staged.items():
        if metadata_node(name) is not None:
            if isinstance(source, Kept):
                kept[name] = source.name
            else:
                yield name, source.read_bytes()
    if kept:
        yield from zip(kept, _required(before).read_all(kept.values()), strict=True)


def _kept_key(source: Path | Kept, before: Snapshot | None) -> Path | Kept:
    return source if isinstance(source, Path) else Kept(_required(before).key(source.name))


async def transfer(contents: Contents, session: icechunk.Session, before: Snapshot | None) -> int:
    """Make a session hold exactly these contents, and give the bytes that were sent.

    Nobody sees it before the session is committed.

    Parameters
    ----------
    contents
        What it is to hold.
    session
        A session that can be written to.
    before
        The version that it is based on, if any.
    """
    store: Any = session.store
    former = frozenset() if before is None else before.keys
    old = {key: await fetch(before.store, key) for key in former if before and metadata_node(key) is not None}
    recut = {key for key in old if key in contents.metadata and _grid(old[key]) != _grid(contents.metadata[key])}
    emptied = [str(metadata_node(key)) for key in {*recut, *(old.keys() - contents.metadata.keys())}]
    moves = _moves(contents, old, emptied) if hasattr(session, "reindex_array") else {}
    for path in sorted(emptied):
        await store.delete_dir(path)
    for path, move in moves.items():
        if not move.is_growing:
            move.make(path, session)
    for key in former - old.keys() - contents.chunks.keys():  # while they are within the array's shape
        if not _is_below(key, emptied) and coordinates(key)[0] not in moves:
            await store.delete(key)
    for key in in_order(contents.metadata):
        if _is_below(key, emptied) or old.get(key) != contents.metadata[key]:
            await store.set(key, _buffer(contents.metadata[key]))
    await set_root(store)
    for path, move in moves.items():
        if move.is_growing:
            move.make(path, session)
    due = {
        key: source
        for key, source in contents.chunks.items()
        if not (isinstance(source, Kept) and _is_placed(key, source, moves, emptied))
    }
    n_bytes = sum(len(data) for key, data in contents.metadata.items() if old.get(key) != data)
    return n_bytes + await _put_all(due, store, before)


async def set_root(store: Any) -> None:  # noqa: ANN401 - its type needs the library
    """Set the metadata of the root group to what they are: a commit has to change something."""
    content = await fetch(store, "zarr.json")
    other = json.loads(content)
    other["attributes"] = {**other.get("attributes", {}), IMPLIED: "for a moment"}
    await store.set("zarr.json", _buffer(json.dumps(other).encode()))
    await store.set("zarr.json", _buffer(content))


@dataclass(frozen=True, slots=True)
class _Move:
    """Chunks that are kept of one array, some of them in another place."""

    forward: dict[tuple[int, ...], tuple[int, ...]]
    """Where they are, by where they were."""
    is_growing: bool
    """Whether the array has to have its new shape at first."""

    def make(self, path: str, session: Any) -> None:  # noqa: ANN401 - its type needs the library
        """Move them without reading any; what else the array holds is removed."""
        backward = {to: origin for origin, to in self.forward.items()}
        session.reindex_array(
            f"/{path}", lambda place: self.forward.get(tuple(place)), lambda place: backward.get(tuple(place))
        )


def _moves(contents: Contents, old: Mapping[str, bytes], emptied: list[str]) -> dict[str, _Move]:
    """The arrays of which chunks are kept in another place, by their paths."""
    kept: dict[str, dict[tuple[int, ...], tuple[int, ...]]] = {}
    for key, source in contents.chunks.items():
        if isinstance(source, Kept) and not _is_below(key, emptied):
            (path, place), (origin, former) = coordinates(key), coordinates(source.name)
            if path == origin:
                kept.setdefault(path, {}).setdefault(former, place)
    found = {}
    for path, forward in kept.items():
        key = f"{path}/zarr.json".lstrip("/")
        before, after = Node.of(old[key]), Node.of(contents.metadata[key])
        if before and after and any(former != place for former, place in forward.items()):
            grows = {after.shape[n] >= before.shape[n] for n in range(len(after.shape))}
            if len(grows) == 1:  # otherwise no order of steps holds them all
                found[path] = _Move(forward, is_growing=grows.pop())
    return found


def _is_placed(key: str, source: Kept, moves: Mapping[str, _Move], emptied: list[str]) -> bool:
    """Whether an object that is kept is where it belongs."""
    path, place = coordinates(key)
    if path in moves:
        origin, former = coordinates(source.name)
        return origin == path and moves[path].forward.get(former) == place
    return source.name == key and not _is_below(key, emptied)


def _is_below(key: str, nodes: list[str]) -> bool:
    """Whether a key belongs to one of some nodes."""
    return any(not node or key.startswith(f"{node}/") for node in nodes)


def _grid(metadata: bytes) -> object:
    node = Node.of(metadata)
    return None if node is None else (node.n_dimensions, node.grid)


async def _put_all(due: Mapping[str, Path | Kept], store: Any, before: Snapshot | None) -> int:  # noqa: ANN401 - as above
    import asyncio  # noqa: PLC0415 - who awaits has it

    alone, left, n_bytes = asyncio.Lock(), iter(due.items()), 0

    async def put_some() -> None:
        nonlocal n_bytes
        for key, source in left:
            kept: Any = _required(before).store if isinstance(source, Kept) else None
            size = await kept.getsize(source.name) if isinstance(source, Kept) else source.stat().st_size
            async with alone if size >= _LARGE_BYTES else nullcontext():
                if isinstance(source, Kept):
                    content = await fetch(kept, source.name)
                else:
                    content = await asyncio.to_thread(source.read_bytes)
                await store.set(key, _buffer(content))
            n_bytes += len(content)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(_AT_ONCE, len(due))):
                group.create_task(put_some())
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return n_bytes


def _buffer(content: bytes) -> Any:  # noqa: ANN401 - zarr's
    from zarr.core.buffer import default_buffer_prototype

    return default_buffer_prototype().buffer.from_bytes(content)
