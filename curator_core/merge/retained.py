"""Items inside merged outputs, read once for as long as the output stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from curator_core.merge.archive import ShardedOutput, item_version
from curator_core.storage.written import written_mark

_ALWAYS_LATER_NS = (1 << 63) - 1
"""As the beginning of an output: its mark is of its last change of any kind, which nobody can set."""

Marks = tuple[int | None, int | None]


class RetainedItems:
    """What merged outputs and their archives hold, for one look-up after the other."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Marks, list[dict[str, str]]]] = {}

    def of(self, output: ShardedOutput) -> list[dict[str, str]]:
        """`ShardedOutput.retained`, which is read again only where the output or its archive changed.

        Parameters
        ----------
        output
            The merged output.
        """
        marks = output.location.mark(_ALWAYS_LATER_NS), written_mark(str(output.archive_path), _ALWAYS_LATER_NS)
        marks_seen, found = self._seen.get(output.path, (None, []))
        if marks != marks_seen:  # what is published meanwhile has another mark at the next look
            found = output.retained()
            self._seen[output.path] = marks, found
        return found


class Retained:
    """The listed items that are inside merged outputs.

    Parameters
    ----------
    keys, fingerprints
        Of the items that are listed.
    outputs
        The merged outputs.
    config_hash
        The pipeline's configuration.
    read
        Says what an output and its archive hold.
    """

    def __init__(
        self,
        keys: Sequence[str],
        fingerprints: Sequence[str | None],
        outputs: Sequence[ShardedOutput],
        config_hash: str,
        read: Callable[[ShardedOutput], list[dict[str, str]]] = ShardedOutput.retained,
    ) -> None:
        self.keys = keys
        self.outputs = {(o.order, path): o for o in outputs for path in (o.path, str(o.archive_path))}
        self._fingerprints = fingerprints
        self._config_hash = config_hash
        self._read = read
        self._versions: dict[int, list[dict[str, str]]] = {}

    def gone(self) -> set[str]:
        """The merged outputs that are not where their URLs say; local ones are found with all other files."""
        return {o.path for o in self.outputs.values() if "://" in o.path and not o.location.exists()}

    def lacks(self, index: int, order: int, path: str) -> bool:
        """Whether `path` is a merged output that should hold the item, but does not."""
        output = self.outputs.get((order, path))
        if output is None:
            return False
        if order not in self._versions:
            self._versions[order] = self._read(output)
        key = self.keys[index]
        version = item_version(key, self._fingerprints[index], self._config_hash)
        return all(place.get(key) != version for place in self._versions[order])
