"""`op` of a ``defs.yaml``: what is set of the ops, by the names that Dagster's own components have for it."""

# No deferred annotations here: Dagster reads those of components as they are.
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from dagster import (
    BackfillPolicy,
    Backoff,
    DagsterInvalidDefinitionError,
    Jitter,
    Model,
    Resolvable,
    Resolver,
    RetryPolicy,
)
from dagster.components.resolved.core_models import (
    MultiRunBackfillPolicyModel,
    SingleRunBackfillPolicyModel,
    resolve_backfill_policy,
)
from dagster_shared.check import CheckError
from pydantic import Field

from curator_core.errors import ConfigError, UnknownNameError
from curator_dagster.component.templates import rendered
from curator_dagster.curation.op_settings import ROLES

_RETRIES = ("max_retries", "delay", "backoff", "jitter")
_KINDS: Mapping[str, type[Backoff] | type[Jitter]] = {"backoff": Backoff, "jitter": Jitter}


class _Op(Model, Resolvable):
    """What is set of any op."""

    tags: Annotated[dict[str, Any] | None, Resolver(rendered, model_field_type=dict[str, Any] | None)] = Field(
        default=None,
        description="Tags of the ops, which executors read.",
        examples=[{"dagster-k8s/config": {"container_config": {"resources": {"limits": {"nvidia.com/gpu": 1}}}}}],
    )
    retry_policy: Annotated[dict[str, Any] | None, Resolver(rendered, model_field_type=dict[str, Any] | None)] = Field(
        default=None,
        description="When a step that failed as a whole is tried again: max_retries, delay, backoff, jitter.",
        examples=[{"max_retries": 3, "delay": 10, "backoff": "exponential"}],
    )


class WorkflowOp(_Op):
    """Settings of the op that runs the workflow."""

    pool: str | None = Field(default=None, description="Concurrency pool.", examples=["licences"])

    def settings(self) -> dict[str, Any]:
        """The same as `build_workflow_defs` takes it.

        Raises
        ------
        ConfigError
            The retry policy is none.
        """
        policy = None if self.retry_policy is None else _retry_policy(self.retry_policy)
        return {"op_tags": self.tags, "pool": self.pool, "retry_policy": policy}


class CurationOp(_Op):
    """Settings of the ops that process items; or, for ``process`` and ``dataset``, of those that do either."""

    pool: str | dict[str, str] | None = Field(
        default=None, description="Concurrency pool.", examples=["gpu", {"process": "gpu", "dataset": "disk"}]
    )
    backfill_policy: Annotated[
        BackfillPolicy | None,
        Resolver(
            resolve_backfill_policy, model_field_type=SingleRunBackfillPolicyModel | MultiRunBackfillPolicyModel | None
        ),
    ] = Field(
        default=None,
        description="How many partitions a run of a backfill takes.",
        examples=[{"type": "multi_run", "max_partitions_per_run": 1000}],
    )

    def settings(self) -> dict[str, Any]:
        """The same as `build_curation_defs` takes it.

        Raises
        ------
        ConfigError
            The retry policy is none.
        """
        found = {"op_tags": self.tags, "pool": self.pool, "backfill_policy": self.backfill_policy}
        return found | {"retry_policy": None if self.retry_policy is None else _retry_policies(self.retry_policy)}


def _retry_policies(given: Mapping[str, Any]) -> RetryPolicy | dict[str, RetryPolicy | None]:
    if given and set(given) <= set(ROLES):
        return {role: None if policy is None else _retry_policy(policy) for role, policy in given.items()}
    return _retry_policy(given, ROLES)


def _retry_policy(given: Mapping[str, Any], roles: Sequence[str] = ()) -> RetryPolicy:
    where = "op: retry_policy"
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where}: a mapping is needed, such as {{max_retries: 3}}, not {given!r}.")
    for setting in given:
        if setting not in _RETRIES:
            raise UnknownNameError.of(f"setting of {where}", setting, (*_RETRIES, *roles))
    settings = dict(given)
    for setting, kind in _KINDS.items():
        if settings.get(setting) is not None:
            name, known = str(settings[setting]).upper(), kind.__members__
            if name not in known:
                raise UnknownNameError.of(f"{setting} of {where}", given[setting], map(str.lower, known))
            settings[setting] = known[name]
    try:
        return RetryPolicy(**settings)
    except (CheckError, DagsterInvalidDefinitionError) as exc:
        raise ConfigError(f"{where}: {exc}") from None
