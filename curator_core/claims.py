"""Who writes a merged output: one run or gathering at a time, and no pipeline over the loose shards of another.

Shards are named by their output and index alone. So whoever writes or merges them holds a lock beside the output,
``{stem}_shards.lock``, and leaves its configuration and database in ``{stem}_shards.claim`` while shards lie there.
Another pipeline with another database, which cannot know of them, is refused as long as they do. The same
configuration writes the same shards and may go on; another configuration in the same database is found out by the
marks of the files that it wrote over (`curator_core.written`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from curator_core.atomic import publish_text, remove_leftovers
from curator_core.disk import reason
from curator_core.errors import ConfigError, MergeError, StoreError
from curator_core.locks import exclusive_lock
from curator_core.shards import ConfiguredOutputs, ShardArchive, ShardedOutput, sharded_outputs

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
        except (FileNotFoundError, ValueError, TypeError):
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


@contextmanager
def claimed_outputs(pipeline: ConfiguredOutputs, database: Path | None) -> Iterator[None]:
    """Hold the merged outputs of a pipeline; nobody else writes their shards, or merges them, meanwhile.

    Parameters
    ----------
    pipeline
        The pipeline.
    database
        Its metrics database; ``None`` where nothing is recorded.

    Raises
    ------
    ConfigError
        Shards of another pipeline, or its archive, lie there.
    StoreBusyError
        Another run or gathering holds one of them.
    StoreError
        A claim cannot be written.
    """
    outputs = sharded_outputs(pipeline)
    with ExitStack() as stack:
        digest = pipeline.config_hash if outputs else ""
        for output in outputs:
            path = _claim_path(output)
            lock = path.with_suffix(".lock")
            stack.enter_context(exclusive_lock(lock, timeout_s=_WAIT_S, holder="curator"))
            stack.callback(_end, output, path, lock)
            claim = Claim(Path(output.path).name, digest, "" if database is None else str(database.absolute()))
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
        yield


def _end(output: ShardedOutput, path: Path, lock: Path) -> None:
    """Keep the claim while there are shards; called before the lock is released."""
    if not _has_shards(output):
        path.unlink(missing_ok=True)
    lock.unlink(missing_ok=True)


def _claim_path(output: ShardedOutput) -> Path:
    target = Path(output.path)
    return target.with_name(f"{target.stem}_shards.claim")


def _has_shards(output: ShardedOutput) -> bool:
    """Whether shards of any output with this stem lie beside it."""
    target = Path(output.path)
    is_shard = re.compile(rf"{re.escape(target.stem)}_shard_\d{{6,}}(\..*)?").fullmatch
    with os.scandir(target.parent) as entries:
        return any(is_shard(entry.name) for entry in entries)


def _refusal(output: ShardedOutput, former: Claim) -> str:
    place = Path(output.path).parent / former.output
    return (
        f"{output.component.component_name()}: beside {output.path!r} lie shards that another pipeline wrote for its "
        f"output {str(place)!r} and has not merged yet (configuration {former.config_hash[:16]}, database "
        f"{former.database or 'none'}). Gather them with that pipeline, or choose another output; shards that nobody "
        f"needs, {Path(output.path).stem}_shard_*, may be deleted."
    )
