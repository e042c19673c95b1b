"""Who processes items and writes a merged output: one run at a time, and no pipeline over the loose shards of another.

A run or gathering holds ``{database}.turn`` meanwhile, so that nobody else processes items of the same records. Steps
of one run in Dagster are several processes: they hold it together, and learn whether another run came between.

Shards are named by their output and index alone. So whoever writes or merges them holds a lock beside the output,
``{stem}_shards.lock``, and leaves its configuration and database in ``{stem}_shards.claim`` while shards lie there.
Another pipeline with another database, which cannot know of them, is refused as long as they do. The same
configuration writes the same shards and may go on; another configuration in the same database is found out by the
marks of the files that it wrote over (`curator_core.storage.written`).
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from curator_core.errors import ConfigError, MergeError, StoreError
from curator_core.merge.archive import ShardArchive, ShardedOutput
from curator_core.storage.atomic import publish_text, remove_leftovers
from curator_core.storage.disk import reason
from curator_core.storage.locks import joint_lock
from curator_core.store.location import make_own_folder

_WAIT_S = 5.0
"""How long another run or gathering is waited for."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose shards lie beside an output."""

    output: str
    """Name of the output."""
    config_hash: str
    """The configuration."""
    database: str
    """The metrics database that knows them."""

    @classmethod
    def read(cls, path: Path) -> Claim | None:
        """The claim that is left in a file; ``None`` where there is none."""
        try:
            return cls(*json.loads(path.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError, RecursionError):
            return None
        except OSError as exc:
            raise StoreError(f"{path}, which tells whose shards lie beside it, cannot be read: {exc}.") from exc

    def write(self, path: Path) -> None:
        """Leave the claim in a file."""
        try:
            publish_text(json.dumps([self.output, self.config_hash, self.database]), path)
        except OSError as exc:
            why = reason(exc)
            raise StoreError(f"{path}, which tells whose shards lie beside it, cannot be written: {why}.") from exc

    def conflicts_with(self, former: Claim) -> bool:
        """Whether shards of `former` would be written over without its database knowing."""
        if self.output != former.output:
            return True
        is_other = self.config_hash != former.config_hash and self.database != former.database
        return is_other and bool(former.database) and Path(former.database).exists()


@dataclass(frozen=True, slots=True)
class Turn:
    """How a run that consists of several processes takes its turn; the default is for one that is a single process."""

    group: str = ""
    """Who may hold it at the same time; nobody by default."""
    holder: str = "curator"
    """Name that others see."""
    timeout_s: float | None = None
    """How long another run or gathering is waited for; some seconds by default."""
    on_wait: Callable[[str], None] = field(default=lambda _: None)
    """Called once with the name of the holder, when there is one to wait for."""
    prepare: Callable[[], object] = field(default=lambda: None)
    """Called before anybody else of the group comes, where another had a turn since the group had its last."""
    is_last: bool = True
    """Whether the next one in turn is always another, even of the same group."""


_held: ContextVar[frozenset[Path]] = ContextVar("_held", default=frozenset())
"""What a turn around this holds already."""


@contextmanager
def claimed_outputs(
    outputs: Sequence[ShardedOutput], config_hash: str, database: Path | None, turn: Turn | None = None
) -> Iterator[None]:
    """Hold the items and the merged outputs of a pipeline; nobody else processes, writes or merges them meanwhile.

    Parameters
    ----------
    outputs, config_hash
        The merged outputs, and the configuration.
    database
        Its metrics database; ``None`` where nothing is recorded.
    turn
        Who may hold it at the same time.

    Raises
    ------
    ConfigError
        Shards of another pipeline, or its archive, lie there.
    StoreBusyError
        Another run or gathering holds one of them.
    StoreError
        A claim cannot be written.
    """
    turn = turn or Turn()
    group = turn.group or uuid.uuid4().hex
    with ExitStack() as stack:
        if database is not None:
            make_own_folder(database.absolute())
            path = Path(f"{database.absolute()}.turn")
            finish = partial(path.unlink, missing_ok=True) if turn.is_last else _nothing
            stack.enter_context(_holding(path, turn, group, prepare=turn.prepare, finish=finish))
        for output in outputs:
            place = "" if database is None else str(database.absolute())
            claim = Claim(output.location.work_path.name, config_hash, place)
            lock = output.lock_path
            begin, end = partial(_begin, output, claim), partial(_end, output, lock)
            stack.enter_context(_holding(lock, turn, group, prepare=begin, finish=end))
        yield


@contextmanager
def _holding(
    path: Path, turn: Turn, group: str, *, prepare: Callable[[], object], finish: Callable[[], None]
) -> Iterator[None]:
    if path in _held.get():  # a gathering within a turn
        yield
        return
    limit = _WAIT_S if turn.timeout_s is None else turn.timeout_s
    with joint_lock(
        path,
        group=group,
        holder=turn.holder,
        timeout_s=limit,
        on_wait=turn.on_wait,
        prepare=prepare,
        finish=finish,
    ):
        token = _held.set(_held.get() | {path} if turn.group else _held.get())
        try:
            yield
        finally:
            _held.reset(token)


def _nothing() -> None:
    """What is left for the others of the group."""


def _begin(output: ShardedOutput, claim: Claim) -> None:
    """Leave the claim, where nobody else's shards lie."""
    path = output.claim_path
    output.location.recover()  # or what a killed gathering put aside would be processed again
    remove_leftovers(path)  # of a writer that was killed; only the holder of the lock publishes it
    former = Claim.read(path)
    if former is not None and claim.conflicts_with(former) and _has_shards(output):
        raise ConfigError(_refusal(output, former))
    if output.archive_path.is_file():
        with (
            suppress(MergeError),
            ShardArchive(output.archive_path, output.path),
        ):
            pass  # damage is told when it is used
    claim.write(path)


def _end(output: ShardedOutput, lock: Path) -> None:
    """Keep the claim while there are shards; called before the lock is released."""
    if not _has_shards(output):
        output.claim_path.unlink(missing_ok=True)
    lock.unlink(missing_ok=True)


def _has_shards(output: ShardedOutput) -> bool:
    """Whether shards of any output with this stem lie beside it."""
    work = output.location.work_path
    is_shard = re.compile(rf"{re.escape(work.stem)}_shard_\d{{6,}}(\..*)?").fullmatch
    with os.scandir(work.parent) as entries:
        return any(is_shard(entry.name) for entry in entries)


def _refusal(output: ShardedOutput, former: Claim) -> str:
    place, work = output.location.beside(former.output).path, output.location.work_path
    return (
        f"{output.component.component_name()}: beside {output.path!r} lie shards that another pipeline wrote for its "
        f"output {place!r} and has not merged yet (configuration {former.config_hash[:16]}, database "
        f"{former.database or 'none'}). Gather them with that pipeline, or choose another output; shards that nobody "
        f"needs, {work.stem}_shard_*, may be deleted."
    )
