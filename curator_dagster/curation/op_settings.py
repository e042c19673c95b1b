"""What is set of the ops of a curation: tags, pool and retries, of those that process items, of those that publish."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from dagster import DagsterInvalidDefinitionError, RetryPolicy

from curator_dagster.curation.setting_checks import check_pool, check_retry_policy, check_tags

OpRole = Literal["process", "dataset"]
"""The ops that process items; or those that merge, publish and check: the dataset, its checks, a refresh's last op."""
ROLES: tuple[OpRole, ...] = get_args(OpRole)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpSettings:
    """Settings of the ops of one role."""

    tags: Mapping[str, Any]
    """Tags, which executors read."""
    pool: str | None
    """Concurrency pool."""
    retry_policy: RetryPolicy | None
    """When a step that failed as a whole is tried again."""


def settings_of_ops(
    *,
    op_tags: Mapping[str, Any] | None,
    pool: str | Mapping[OpRole, str | None] | None,
    retry_policy: RetryPolicy | Mapping[OpRole, RetryPolicy | None] | None,
) -> dict[OpRole, OpSettings]:
    """Settings by role; what is given once is of the ops that process items.

    Raises
    ------
    DagsterInvalidDefinitionError
        One is wrong.
    """
    tags = _by_role("op_tags", op_tags, is_divided=_is_divided(op_tags))
    pools = _by_role("pool", pool, is_divided=isinstance(pool, Mapping))
    policies = _by_role("retry_policy", retry_policy, is_divided=isinstance(retry_policy, Mapping))
    for role in ROLES:
        check_tags("op_tags", tags.get(role))
        check_pool(pools.get(role))
        check_retry_policy(policies.get(role))
    return {
        role: OpSettings(tags=tags.get(role) or {}, pool=pools.get(role), retry_policy=policies.get(role))
        for role in ROLES
    }


def _is_divided(op_tags: Mapping[str, Any] | None) -> bool:
    """Whether tags are given by role; a tag may have the name of a role."""
    if not isinstance(op_tags, Mapping):
        return False
    roles = [key for key, value in op_tags.items() if key in ROLES and isinstance(value, Mapping | None)]
    others = [key for key in op_tags if key not in roles]
    if roles and others:
        raise DagsterInvalidDefinitionError(
            f"op_tags has {others[0]!r} beside {roles[0]!r}; give tags, or {{'process': tags, 'dataset': tags}}."
        )
    return bool(roles)


def _by_role(setting: str, given: Any, *, is_divided: bool) -> Mapping[str, Any]:  # noqa: ANN401 - each of its own type
    if not is_divided:
        return {"process": given}
    for role in given:
        if role not in ROLES:
            raise DagsterInvalidDefinitionError(f"{setting}: there are no {role!r} ops, only {' and '.join(ROLES)}.")
    return dict(given)
