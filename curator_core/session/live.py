"""Who writes plain outputs at this moment: the second of two live runs that would write the same files is refused.

Which files are the own ones of a sink that publishes nothing, `output_places` alone says. So a run leaves an entry in
a hidden folder beside each of these, and holds its lock until it has ended; what a killed one left is removed by the
next. Entries are looked at and made one process at a time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from curator_core.errors import StoreBusyError, StoreError
from curator_core.pipeline.components import Component, ShardedSink, Sink, overrides
from curator_core.storage.locks import exclusive_lock, is_locked
from curator_core.storage.places import real_place

if TYPE_CHECKING:
    from curator_core.pipeline.pipeline import Pipeline

logger = logging.getLogger("curator")

_GUARD = "guard.lock"
_WAIT_S = 5.0
"""How long others are waited for who look at the entries, which takes milliseconds."""
_MAX_NAME_BYTES = 200
_MAX_SPANS = 10_000
_MAX_KEYS = 100_000


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one run writes."""

    sink: str
    """Name of its sink."""
    naming: str
    """Hash of what of the sink may be in the names of its files."""
    source: str
    """Hash of the source's arguments."""
    spans: list[list[int]]
    """The indices, as ranges."""
    keys: list[int] | None
    """Hashes of the items' keys, where files may be named after them."""
    is_one_file: bool
    """Whether the place is a file that all items share."""
    database: str
    """The metrics database."""

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The entry in a file, below its lock's signature; ``None`` where it is of another version, or unwritten."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8").partition("\n")[2]))
        except (OSError, ValueError, TypeError, RecursionError):
            return None

    def conflicts_with(self, other: _Entry) -> bool:
        """Whether both would write one file; runs of one database keep out of each other's way by that."""
        if self.database and self.database == other.database:
            return False
        if self.naming != other.naming and not (self.is_one_file or other.is_one_file):
            return False
        if self.keys is not None and other.keys is not None:
            return not set(self.keys).isdisjoint(other.keys)
        return self.source != other.source or _overlap(self.spans, other.spans)


@contextmanager
def live_outputs(
    pipeline: Pipeline[Any], database: Path | None, indices: Sequence[int], key_of: Callable[[int], str]
) -> Iterator[None]:
    """Be known as the one who writes a pipeline's plain outputs, meanwhile.

    Parameters
    ----------
    pipeline
        The pipeline.
    database
        Its metrics database; ``None`` where nothing is recorded.
    indices
        What is processed.
    key_of
        Key of an item by its index.

    Raises
    ------
    StoreBusyError
        Another run, with another database, is writing the same files.
    """
    sink = pipeline.sink
    with ExitStack() as stack:
        if sink is not None and not isinstance(sink, ShardedSink):
            named = {place: real_place(place) for place in sink.output_places()}
            for place in dict.fromkeys(named.values()):
                entry = _Entry(
                    sink=sink.component_name(),
                    naming=_digest(_identity(sink, named, has_numbers=False)),
                    source=_digest(_identity(pipeline.source, {}, has_numbers=True)),
                    spans=_spans(indices),
                    keys=_key_hashes(sink, indices, key_of),
                    is_one_file=len(named) == 1 and _is_file_name(place),
                    database="" if database is None else str(database.absolute()),
                )
                stack.enter_context(_registered(Path(place), entry))
        yield


@contextmanager
def _registered(place: Path, entry: _Entry) -> Iterator[None]:
    made = [folder for folder in place.parents if not folder.exists()]
    with ExitStack() as stack:
        for folder in _registries(place):
            try:
                with exclusive_lock(folder / _GUARD, timeout_s=_WAIT_S, holder="curator"):
                    stack.callback(_tidy, folder, made)
                    _check_others(folder, place, entry)
                    path = folder / uuid.uuid4().hex
                    stack.enter_context(exclusive_lock(path, timeout_s=0, holder="curator"))
                    stack.callback(path.unlink, missing_ok=True)  # before its lock is released
                    with path.open("a", encoding="utf-8") as file:
                        file.write("\n" + json.dumps(asdict(entry)))
                break
            except StoreBusyError:
                raise
            except (StoreError, OSError) as exc:  # a full disk, no locks: items may be written all the same
                logger.debug("%s: whether another run writes there cannot be told: %s", place, exc)
        yield


def _check_others(folder: Path, place: Path, entry: _Entry) -> None:
    """Raise `StoreBusyError` when a live run has the same files; entries of dead ones are removed."""
    for path in folder.iterdir():
        if path.name == _GUARD:
            continue
        if not is_locked(path):
            path.unlink(missing_ok=True)
            continue
        other = _Entry.read(path)
        if other is not None and entry.conflicts_with(other):
            with suppress(OSError):
                who = path.read_text(encoding="utf-8").partition("\n")[0]
            raise StoreBusyError(
                f"{entry.sink}: {str(place)!r} is being written by {who} at this moment, from a run of its own "
                f"(metrics database {other.database or 'none'}), and some files would have the same names. Wait until "
                "it has finished, or stop it, or write to another place. A sink whose runs never write the same files "
                "says so by overriding `output_places`."
            )


def _tidy(folder: Path, made: Sequence[Path]) -> None:
    """Remove the folder of entries when it has none, and folders that were made for it and that nobody used."""
    with suppress(StoreError, OSError), exclusive_lock(folder / _GUARD, timeout_s=_WAIT_S, holder="curator"):
        if all(path.name == _GUARD for path in folder.iterdir()):
            (folder / _GUARD).unlink()
    for empty in (folder, *made):
        try:
            empty.rmdir()
        except OSError:
            return


def _registries(place: Path) -> Iterator[Path]:
    """Where entries of a place may be: beside it, or within where nobody may write beside it."""
    name = place.name
    if len(os.fsencode(name)) > _MAX_NAME_BYTES:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    if os.access(next(parent for parent in place.parents if parent.exists()), os.W_OK):
        yield place.with_name(f".{name}.curator-runs") if name else place / ".curator-runs"
    elif place.is_dir():
        yield place / ".curator-runs"


def _is_file_name(place: str) -> bool:
    name = os.path.basename(place)  # noqa: PTH119 - a text
    return re.search(r"\.[A-Za-z]\w{0,7}$", name) is not None and "{" not in name and not os.path.isdir(place)  # noqa: PTH112


def _digest(identity: object) -> str:
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode(errors="backslashreplace")).hexdigest()


def _identity(value: object, named: Mapping[str, str], *, has_numbers: bool) -> object:
    """Identity of a value, without secrets, whoever spells the places in it.

    Numbers are seldom in the names of files.
    """

    def of(member: object) -> object:
        return _identity(member, named, has_numbers=has_numbers)

    if isinstance(value, Component):
        given = value._arguments or {}  # noqa: SLF001 - another component
        secret = value.secret_parameters(given)
        return [type(value).__qualname__, {name: of(member) for name, member in given.items() if name not in secret}]
    if isinstance(value, str | os.PathLike):
        text = os.fsdecode(value)
        return named.get(text) or (real_place(text) if os.sep in text else text)
    if isinstance(value, Mapping):
        return {str(name): of(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [of(member) for member in value]
    return repr(value) if has_numbers and isinstance(value, int | float) else type(value).__qualname__


def _spans(indices: Sequence[int]) -> list[list[int]]:
    if isinstance(indices, range) and indices.step == 1:
        return [[indices.start, indices.stop]]
    spans: list[list[int]] = []
    for index in sorted(indices):
        if spans and index <= spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], index + 1)
        else:
            spans.append([index, index + 1])
    return spans if len(spans) <= _MAX_SPANS else [[spans[0][0], spans[-1][1]]]


def _overlap(first: Sequence[Sequence[int]], second: Sequence[Sequence[int]]) -> bool:
    """Whether two sorted lists of ranges share an index."""
    one, other = iter(first), iter(second)
    a, b = next(one, None), next(other, None)
    while a is not None and b is not None:
        if a[0] < b[1] and b[0] < a[1]:
            return True
        if a[1] <= b[1]:
            a = next(one, None)
        else:
            b = next(other, None)
    return False


def _key_hashes(sink: Sink[Any], indices: Sequence[int], key_of: Callable[[int], str]) -> list[int] | None:
    """Of a sink that takes its source, as one that names files after keys has to."""
    if not overrides(sink, Sink.set_source) or len(indices) > _MAX_KEYS:
        return None
    hashed = (hashlib.blake2b(key_of(i).encode(errors="surrogateescape"), digest_size=6) for i in indices)
    return [int.from_bytes(key.digest()) for key in hashed]
