"""Requests that are made again when they fail for a reason that passes, and a line that says so."""

from __future__ import annotations

import logging
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, TypeVar

from curator_core.storage.objects.stores import FIRST_PAUSE_S, LONGEST_PAUSE_S, TRIES

logger = logging.getLogger("curator.objects")

T = TypeVar("T")

_STATUS: Final = re.compile(r"status code: (\d{3}[\w ]*)")
_PASSING: Final = {"408", "425", "429"}
_LOST: Final = re.compile(r"HTTP error|timed? ?out|connection (closed|reset)", re.IGNORECASE)
_NO_CREDENTIALS: Final = re.compile(r"169\.254\.169\.254|metadata\.google")


class PassingError(Exception):
    """A request failed for a reason that passes, which is the text of the error."""


def retried(request: Callable[[], T], url: str, progress: Callable[[], object] = lambda: None) -> T:
    """The answer to a request, which is made again after 429, 5xx, and a connection that was lost.

    When it took more than one try, a line of the log says how many, and why.

    Parameters
    ----------
    request
        Makes the request; its own library does not retry.
    url
        What is requested, for the log.
    progress
        How far it came; the tries, `TRIES` of them, are counted anew when that has changed.
    """
    reasons: Counter[str] = Counter()
    n_failed, reached = 0, progress()
    while True:
        try:
            answer = request()
        except Exception as exc:
            why = passing_reason(exc)
            if why is None:
                raise
            reasons[why] += 1
            n_failed, reached = 1 if progress() != reached else n_failed + 1, progress()
            if n_failed == TRIES:
                exc.add_note(f"{reasons.total()} tries: {_counted(reasons)}")
                raise
            time.sleep(_pause_s(n_failed))
        else:
            if reasons:
                logger.warning("%s: answered at try %d, after %s", url, reasons.total() + 1, _counted(reasons))
            return answer


def passing_reason(error: Exception) -> str | None:
    """Why a request failed, in a few words, if it may succeed in a moment; otherwise ``None``."""
    if isinstance(error, PassingError):
        return str(error)
    if not is_of_client(error):
        return None
    text = str(error).partition("Debug source")[0]
    if _NO_CREDENTIALS.search(text):
        return None
    status = _STATUS.search(text)
    if status is not None:
        code = status[1].strip()
        return code if passing_status(code) else None
    return "a lost connection" if _LOST.search(text) else None


def passing_status(code: str) -> bool:
    """Whether a status of HTTP may be another one in a moment."""
    return code.startswith("5") or code[:3] in _PASSING


def is_of_client(error: Exception) -> bool:
    """Whether an error is one that the client of object stores raises, other than the builtin ones."""
    return type(error).__module__.startswith(("obstore", "_obstore"))


def _pause_s(n_failed: int) -> float:
    longest: float = min(FIRST_PAUSE_S * 2 ** (n_failed - 1), LONGEST_PAUSE_S)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads requests


def _counted(reasons: Counter[str]) -> str:
    return ", ".join(f"{why} ({n} times)" if n > 1 else why for why, n in reasons.items())
