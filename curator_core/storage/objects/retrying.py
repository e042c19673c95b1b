"""Requests that are made again when they fail for a reason that passes, and a line that says so."""

from __future__ import annotations

import logging
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from curator_core.storage.objects.stores import FIRST_PAUSE_S, LONGEST_PAUSE_S, TRIES

logger = logging.getLogger("curator.objects")

T = TypeVar("T")

_STATUS: Final = re.compile(r"status code: (\d{3}[\w ]*)")
_PASSING: Final = {"408", "425", "429"}
_LOST: Final = re.compile(r"HTTP error|timed? ?out|connection (closed|reset)", re.IGNORECASE)
_NO_CREDENTIALS: Final = re.compile(r"169\.254\.169\.254|metadata\.google")


class IncompleteError(Exception):
    """An answer ended before it was whole."""


def retried(request: Callable[[], T], url: str) -> T:
    """The answer to a request, which is made up to `TRIES` times: after 429, 5xx, and a connection that was lost.

    When it took more than one, a line of the log says how many, and why.

    Parameters
    ----------
    request
        Makes the request; its own library does not retry.
    url
        What is requested, for the log.
    """
    reasons: Counter[str] = Counter()
    for pause_s in _pauses_s():
        try:
            answer = request()
        except Exception as exc:
            why = passing_reason(exc)
            if why is None:
                raise
            reasons[why] += 1
            if pause_s is None:
                exc.add_note(f"{TRIES} tries: {_counted(reasons)}")
                raise
            time.sleep(pause_s)
        else:
            if reasons:
                logger.warning("%s: answered at try %d, after %s", url, reasons.total() + 1, _counted(reasons))
            return answer
    raise AssertionError


def passing_reason(error: Exception) -> str | None:
    """Why a request failed, in a few words, if it may succeed in a moment; otherwise ``None``."""
    if isinstance(error, IncompleteError):
        return "an incomplete answer"
    if not is_of_client(error):
        return None
    text = str(error).partition("Debug source")[0]
    if _NO_CREDENTIALS.search(text):
        return None
    status = _STATUS.search(text)
    if status is not None:
        code = status[1].strip()
        return code if code.startswith("5") or code[:3] in _PASSING else None
    return "a lost connection" if _LOST.search(text) else None


def is_of_client(error: Exception) -> bool:
    """Whether an error is one that the client of object stores raises, other than the builtin ones."""
    return type(error).__module__.startswith(("obstore", "_obstore"))


def _pauses_s() -> Iterator[float | None]:
    for number in range(TRIES - 1):
        yield min(FIRST_PAUSE_S * 2**number, LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads requests
    yield None


def _counted(reasons: Counter[str]) -> str:
    return ", ".join(f"{why} ({n} times)" if n > 1 else why for why, n in reasons.items())
