"""What a run is launched with: which items, how many, whether again."""

# No deferred annotations here: Dagster reads those of configurations as they are.
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dagster import Config, Field, Noneable
from pydantic import Field as Setting
from pydantic import ValidationInfo, field_validator

from curator_core import Plan
from curator_core.errors import ConfigError
from curator_core.session import Listing, Session
from curator_dagster._compat.config_types import PositiveInt
from curator_dagster.curation.partition_block import PartitionBlock
from curator_dagster.curation.partitions import partition_key

NO_CONFIG: dict[str, Any] = {}
"""Schema of an op that takes no config: without one, Dagster accepts any in silence."""
MAX_NAMED = 5


class _Told(Config):
    @field_validator("*", mode="before")
    @classmethod
    def _default_for_null(cls, value: object, info: ValidationInfo) -> object:
        """In YAML a field without a value is null, which Dagster lets through."""
        return cls.model_fields[info.field_name or ""].default if value is None else value


class RefreshConfig(_Told):
    """Config of ``{name}_plan``, the first op of a refresh."""

    keys: list[str] | None = Setting(default=None, description="Only these items (or partitions); all by default.")
    limit: int | None = Setting(default=None, gt=0, description="At most so many items; the others stay as they are.")
    force: bool = Setting(default=False, description="Process again what is up to date.")
    retry_failed: bool = Setting(default=True, description="Try items again that failed and did not change since.")

    @classmethod
    def schema_of_op(cls) -> dict[str, Field]:
        """The same for an op; what is out of bounds is refused before the run begins."""
        return _with_bounds(cls.to_fields_dict())


class RetryConfig(_Told):
    """Config of ``{name}_plan_failed``, the first op of a retry."""

    keys: list[str] | None = Setting(default=None, description="Only these items (or partitions); all that failed.")
    limit: int | None = Setting(default=None, gt=0, description="At most so many items; the others stay failed.")

    @classmethod
    def schema_of_op(cls) -> dict[str, Field]:
        """The same for an op; what is out of bounds is refused before the run begins."""
        return _with_bounds(cls.to_fields_dict())


class SelectionConfig(_Told):
    """Config of ``{name}_plan_selected``, the first op of a run of partitions."""

    force: bool = Setting(
        default=False, description="Process the selected partitions again, though they are up to date."
    )


def _with_bounds(fields: dict[str, Field]) -> dict[str, Field]:
    about = fields["limit"].description
    return fields | {"limit": Field(Noneable(PositiveInt()), default_value=None, description=about)}


@dataclass(frozen=True)
class Planned:
    """What a refresh set out to do: it judges and publishes this, whatever the source lists when it ends."""

    listing: Listing
    """The source as it was listed."""
    left: frozenset[str]
    """Keys of due items that the run is to leave."""


def force(session: Session, indices: Iterable[int]) -> None:
    """Make items due that are up to date."""
    chosen = [index for index in indices if not session.plan.reasons[index]]
    if chosen:
        session.forget(chosen)


def chosen_indices(listing: Listing, keys: Sequence[str] | None) -> Sequence[int]:
    """Indices of the items that some keys name, the items' own or those of partitions; of all without keys.

    Raises
    ------
    ConfigError
        The source lists no such item.
    """
    if keys is None:
        return range(len(listing))
    by_partition = {partition_key(key): index for key, index in listing.positions.items()}
    found = {key: listing.positions.get(key, by_partition.get(key)) for key in keys}
    unknown = [key for key, index in found.items() if index is None]
    if unknown:
        more = f" and {len(unknown) - MAX_NAMED} more" if len(unknown) > MAX_NAMED else ""
        raise ConfigError(
            f"config 'keys': the source lists no {', '.join(map(repr, unknown[:MAX_NAMED]))}{more}; "
            f"it lists {len(listing)} items."
        )
    return sorted({index for index in found.values() if index is not None})


def chosen_blocks(
    blocks: Iterable[PartitionBlock], plan: Plan, config: RefreshConfig | RetryConfig, failed: Container[str] = ()
) -> list[PartitionBlock]:
    """The partitions that a run is to process, whole ones.

    Parameters
    ----------
    blocks, plan
        All of them.
    config
        Config of the run.
    failed
        Partitions that Dagster shows as failed: a retry takes all that is due of them, for an item may have changed
        since, or a run may have ended before it came to it.
    """
    wanted = set(chosen_indices(plan.listing, config.keys))
    found: list[PartitionBlock] = []
    n_items = 0
    for block in blocks:
        due = block.due
        if isinstance(config, RetryConfig):
            due = due if block.partition in failed else _failed(plan, due)
        elif not config.retry_failed:
            due = tuple(sorted(set(due).difference(_failed(plan, due))))
        is_wanted = not wanted.isdisjoint(due)
        if not is_wanted or (config.limit is not None and found and n_items + len(due) > config.limit):
            continue
        if config.limit is not None and n_items >= config.limit:
            break
        found.append(replace(block, due=due, is_whole=due == block.due))
        n_items += len(due)
    return found


def _failed(plan: Plan, due: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(index for index in due if plan.item(index).reason == "failed")
