"""A failure of a step that is recorded as a person reads it."""

from __future__ import annotations

from traceback import TracebackException
from typing import TYPE_CHECKING, Any

from dagster import Failure
from dagster._core.errors import DagsterUserCodeProcessError
from dagster_shared.error import SerializableErrorInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dagster import MetadataValue


class _ToldError(DagsterUserCodeProcessError):
    """An error whose record is given with it."""

    def __init__(self, text: str | None) -> None:
        super().__init__(text, user_code_process_error_infos=[])  # type: ignore[no-untyped-call]


class ClearFailure(Failure, _ToldError):  # noqa: N818 - as Dagster names its own
    """A `Failure` that is recorded with its sentence, and below it the stack of its cause alone.

    Dagster records the stack of whatever a step raises, thirty lines of its own before anybody else's, and takes as
    given only what another process reports of an error. Publicly no stack can be left out.

    Parameters
    ----------
    description
        What failed, and why.
    metadata
        As for `Failure`.
    cause
        What was raised, if anything.
    may_be_retried
        Whether the step's retry policy applies.
    """

    def __init__(
        self,
        description: str,
        metadata: Mapping[str, MetadataValue[Any]] | None = None,
        cause: BaseException | None = None,
        *,
        may_be_retried: bool = False,
    ) -> None:
        super().__init__(description, metadata, allow_retries=may_be_retried)
        traced = None if cause is None else TracebackException.from_exception(cause)
        below = None if traced is None else SerializableErrorInfo.from_traceback(traced)
        self.user_code_process_error_infos = [SerializableErrorInfo(f"{description}\n", [], "Failure", below)]
