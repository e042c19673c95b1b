"""Asset checks of the dataset: declared with it, evaluated in its own run, by the refresh, or on their own."""

# No deferred annotations here: Dagster reads those of checks as they are.
import inspect
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetCheckExecutionContext,
    AssetCheckKey,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSpec,
    DagsterInstance,
    DagsterInvalidDefinitionError,
    MetadataValue,
    multi_asset_check,
)

from curator_core.errors import CuratorError, UnknownNameError
from curator_dagster._compat.events.asset_events import check_target, latest_checked_materialization
from curator_dagster.checks.builtin import BUILT_IN, ON_REQUEST, Subject
from curator_dagster.curation.curation import Curation
from curator_dagster.curation.failing import failing_clearly
from curator_dagster.curation.launch import NO_CONFIG
from curator_dagster.curation.resources import explain_missing, in_context
from curator_dagster.curation.settings import Check, EvaluatedCheck
from curator_dagster.steps.dataset import Publication

BUILT_IN_CHECKS = tuple(BUILT_IN)
"""Names of the asset checks that a dataset gets unless others are chosen."""

_OF_ITEMS = ("completeness", "failures")


@dataclass(frozen=True)
class DatasetChecks:
    """The checks of one dataset."""

    curation: Curation
    """Whose dataset it is."""
    functions: dict[str, Callable[[Subject], AssetCheckResult]]
    """What is evaluated here, by name."""
    descriptions: dict[str, str]
    """What each says in Dagster's list."""
    definitions: list[AssetChecksDefinition]
    """All checks, those that Dagster alone evaluates included."""

    @classmethod
    def of(cls, curation: Curation, *, chosen: bool | Sequence[Check]) -> "DatasetChecks":
        """Declare the checks that were chosen.

        Raises
        ------
        DagsterInvalidDefinitionError
            One is unknown, has no name, or has the name of another.
        """
        wanted: Sequence[Check] = chosen if not isinstance(chosen, bool) else BUILT_IN_CHECKS if chosen else ()
        functions: dict[str, Callable[[Subject], AssetCheckResult]] = {}
        descriptions: dict[str, str] = {}
        others: list[AssetChecksDefinition] = []
        for check in wanted:
            if isinstance(check, AssetChecksDefinition):
                others.append(check)
                continue
            name, function = _named_function(curation, check)
            if name in functions:
                raise DagsterInvalidDefinitionError(f"Curation {curation.name!r}: two checks are named {name!r}.")
            functions[name] = function
            described = check if callable(check) else function
            descriptions[name] = (inspect.getdoc(described) or "").partition("\n")[0]
        found = cls(curation, functions, descriptions, others)
        if functions:
            others.insert(0, found.own_definition())
        return found

    def own_definition(self) -> AssetChecksDefinition:
        """The checks that are evaluated here, in one step."""
        key = self.curation.dataset_key
        specs = [AssetCheckSpec(name, asset=key, description=text or None) for name, text in self.descriptions.items()]

        settings = self.curation.op_settings["dataset"]

        @multi_asset_check(
            name=f"{self.curation.name}_checks",
            specs=specs,
            can_subset=True,
            required_resource_keys=set(self.curation.resource_keys),
            config_schema=NO_CONFIG,
            op_tags=settings.tags,
            pool=settings.pool,
            retry_policy=settings.retry_policy,
        )
        def dataset_checks(context: AssetCheckExecutionContext) -> Iterable[AssetCheckResult]:
            curation = in_context(self.curation, context.resources)
            with failing_clearly():
                subject = Subject(curation, curation.open_pipeline())
            selected = {check.name for check in context.selected_asset_check_keys}
            yield from self.evaluate(subject, [name for name in self.functions if name in selected])

        explain_missing(self.curation, dataset_checks.op)
        return dataset_checks

    def evaluate(self, subject: Subject, names: Iterable[str]) -> Iterator[AssetCheckResult]:
        """Results of some checks; one that raises an error has failed, and the others go on."""
        for name in names:
            try:
                result = self.functions[name](subject)
            except CuratorError as exc:
                result = AssetCheckResult(passed=False, description=f"{type(exc).__name__}: {exc}")
            except Exception as exc:  # noqa: BLE001 - whatever a user's check raises
                text = {"traceback": MetadataValue.md(f"```\n{traceback.format_exc()}\n```")}
                result = AssetCheckResult(passed=False, description=f"{type(exc).__name__}: {exc}", metadata=text)
            yield AssetCheckResult(
                passed=result.passed,
                asset_key=self.curation.dataset_key,
                check_name=name,
                metadata=result.metadata,
                severity=result.severity,
                description=result.description,
            )

    def evaluations(self, instance: DagsterInstance, published: Publication) -> Iterator[AssetCheckEvaluation]:
        """Evaluations for an op that tried to publish, of the dataset's latest materialization.

        What depends on the dataset's content alone is not evaluated again for the same materialization.
        """
        records = instance.fetch_materializations(self.curation.dataset_key, limit=1).records
        target = check_target(records[0]) if records else None
        newest = target.storage_id if target is not None else None  # without a dataset, there is no content to check
        subject = Subject(self.curation, published.pipeline, published.plan)
        keys = {name: AssetCheckKey(self.curation.dataset_key, name) for name in self.functions}
        due = [
            name
            for name, key in keys.items()
            if name in _OF_ITEMS or latest_checked_materialization(instance, key) != newest
        ]
        for name, result in zip(due, self.evaluate(subject, due), strict=True):
            yield AssetCheckEvaluation(
                asset_key=self.curation.dataset_key,
                check_name=name,
                passed=result.passed,
                metadata=result.metadata,
                target_materialization_data=target,
                severity=result.severity,
                description=result.description,
            )


def _named_function(
    curation: Curation, check: str | Callable[[str], Any] | EvaluatedCheck
) -> tuple[str, Callable[..., Any]]:
    if isinstance(check, EvaluatedCheck):
        return check.name, check.evaluate
    if isinstance(check, str):
        known = {**BUILT_IN, **ON_REQUEST}
        if check not in known:
            error = UnknownNameError.of("check", check, known)
            raise DagsterInvalidDefinitionError(f"Curation {curation.name!r}: {error}")
        return check, known[check]
    name = getattr(check, "__name__", None)
    if not isinstance(name, str) or not name.isidentifier():
        raise DagsterInvalidDefinitionError(
            f"Curation {curation.name!r}: a check is the name of a built-in one "
            f"({', '.join([*BUILT_IN, *ON_REQUEST])}), a function with a name, or an asset check of Dagster's own, "
            f"not {check!r}."
        )
    return name, _of_path(check)


def _of_path(check: Callable[[str], Any]) -> Callable[[Subject], AssetCheckResult]:
    """A user's function as a check."""

    def checked(subject: Subject) -> AssetCheckResult:
        output = subject.facts.sink_output
        if output is None:
            return AssetCheckResult(passed=False, description="The sink has published no dataset.")
        import numpy as np  # noqa: PLC0415 - a code location needs none

        result = check(output.readable_path)
        if isinstance(result, AssetCheckResult):
            return result
        if isinstance(result, bool | np.bool_):
            return AssetCheckResult(passed=bool(result))
        return AssetCheckResult(
            passed=False, description=f"{check.__name__} returned {result!r}, not a bool or an AssetCheckResult."
        )

    return checked
