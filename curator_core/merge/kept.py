"""What datasets keep of items that changed and failed: what is gathered beside them is of the same values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from curator_core.datasets.manifest import standing_head
from curator_core.merge.archive import ShardedOutput
from curator_core.pipeline.abilities import RetainsFailed


def keeps_failed(output: ShardedOutput) -> bool:
    """Whether there is a dataset that keeps what items gave before they changed, as long as they fail."""
    return isinstance(output.component, RetainsFailed) and output.location.exists()


def retained_failed(output: ShardedOutput) -> dict[str, str]:
    """Version by key of what the dataset keeps of items that changed and failed."""
    component = output.component
    is_able = isinstance(component, RetainsFailed) and keeps_failed(output)
    return dict(component.retained_failed(output.readable_path)) if is_able else {}


def kept_of_failed(
    outputs: Sequence[ShardedOutput], config_hash: str, completed: Collection[str], listed: Collection[str]
) -> dict[str, str]:
    """Version by key of what datasets keep of items that are listed and not completed, since they changed and failed.

    What is gathered beside such a dataset is of the same values. Another configuration's are not kept.
    """
    found: dict[str, str] = {}
    for output in outputs if any(key not in completed for key in listed) else ():
        if keeps_failed(output) and standing_head(output.location).config_hash == config_hash:
            found |= output.component.retained_items(output.readable_path) | retained_failed(output)
    return {key: version for key, version in found.items() if key in listed and key not in completed}


def with_kept(
    wanted: Mapping[str, str], kept: Mapping[str, str], held: Mapping[str, str], positions: Mapping[str, int]
) -> dict[str, str]:
    """Version by key of the items that a filter's output is of: those that are wanted, and kept ones that it holds.

    Parameters
    ----------
    wanted
        Those that are completed, in their order.
    kept
        See `kept_of_failed`.
    held
        Version by key of what the archive of the output holds.
    positions
        Position by key in the order of the source.
    """
    former = {key: version for key, version in kept.items() if held.get(key) == version}
    return dict(sorted({**wanted, **former}.items(), key=lambda item: positions[item[0]]) if former else wanted)


def keys_of(output: ShardedOutput, completed: Iterable[str], kept: Mapping[str, str]) -> set[str]:
    """Keys of the items that an output will be of: the completed ones, of filters also what they hold of kept ones."""
    archives = output.retained() if kept and output.kind == "filter" else []
    return {*completed, *(key for held in archives for key in kept if held.get(key) == kept[key])}
