"""What an instance and a code location lack of what a curation or workflow was given: slots, assets upstream."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Protocol

from curator_dagster._compat.pools import defined_assets, pool_limit, repository_of

if TYPE_CHECKING:
    from dagster import AssetKey, DagsterInstance, OpExecutionContext, RepositoryDefinition


class Needing(Protocol):
    """A curation or a workflow, with what it was given."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def pools(self) -> Sequence[str]:
        """Concurrency pools of its ops."""
        ...

    @property
    def upstream_keys(self) -> AbstractSet[AssetKey]:
        """Assets upstream."""
        ...

    @property
    def run_tags(self) -> Mapping[str, str]:
        """Tags of its runs."""
        ...


def prepare_run(context: OpExecutionContext, curation: Needing) -> None:
    """Tag a run that was launched without its tags, and say in its log what it may wait for in vain."""
    tags = {tag: value for tag, value in curation.run_tags.items() if tag not in context.run.tags}
    if tags:
        context.instance.add_run_tags(context.run_id, tags)
    for sentence in lacking(context.instance, curation, repository_of(context)):
        context.log.warning(sentence)


def lacking(instance: DagsterInstance, curation: Needing, repository: RepositoryDefinition | None) -> Iterator[str]:
    """A sentence for each pool without slots or limit, and for each asset upstream that nobody knows."""
    yield from pools_without_slots(instance, curation)
    for pool in curation.pools:
        if pool_limit(instance, pool) is None:
            yield (
                f"The pool {pool!r} of {curation.name} has no limit on this instance, so that it limits nothing: "
                f"dagster instance concurrency set {pool} 2"
            )
    yield from _unknown_upstream(instance, curation, repository)


def pools_without_slots(instance: DagsterInstance, curation: Needing) -> Iterator[str]:
    """A sentence for each pool that lets no step begin."""
    for pool in curation.pools:
        if pool_limit(instance, pool) == 0:
            yield (
                f"The pool {pool!r} of {curation.name} has no slots on this instance, so that its steps wait: give it "
                f"some on the page Deployment > Concurrency, or with: dagster instance concurrency set {pool} 1"
            )


def _unknown_upstream(
    instance: DagsterInstance, curation: Needing, repository: RepositoryDefinition | None
) -> Iterator[str]:
    """Assets upstream that this code location does not define, and of which nothing is recorded from another."""
    named = curation.upstream_keys
    defined: set[AssetKey] = set() if repository is None or not named else defined_assets(repository)
    for key in sorted(named - defined, key=lambda key: key.to_user_string()):
        if not instance.has_asset_key(key):
            known = {other.to_user_string(): other for other in defined}
            near = difflib.get_close_matches(key.to_user_string(), known, n=1)
            hint = f" Did you mean {known[near[0]]}?" if near else ""
            yield (
                f"deps of {curation.name} has {key.to_user_string()}: this code location defines no such asset, and "
                f"nothing is recorded on this instance of one elsewhere. Check the key, or materialize it first.{hint}"
            )
