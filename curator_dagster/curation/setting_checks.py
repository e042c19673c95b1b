"""Checks of single settings: what is wrong is said when the definitions load, in the words of the setting."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from zoneinfo import ZoneInfo, available_timezones

from dagster import AssetDep, DagsterError, DagsterInvalidDefinitionError, RetryPolicy
from dagster_shared.check import CheckError


@contextmanager
def naming(name: str, kind: str = "Curation") -> Iterator[None]:
    """Put the name of a curation, or of another kind of thing, before what is wrong with one of its settings."""
    try:
        yield
    except DagsterInvalidDefinitionError as exc:
        start = f"{kind} {name!r}: "
        raise DagsterInvalidDefinitionError(start + str(exc).removeprefix(start)) from None


def parts_of_prefix(given: object) -> list[str]:
    """Parts of an asset key that a ``key_prefix`` stands for.

    Raises
    ------
    DagsterInvalidDefinitionError
        It is no text and no list of texts, one is empty, or one has a slash.
    """
    parts = [given] if isinstance(given, str) else [] if given is None else given
    if not isinstance(parts, Sequence) or not all(isinstance(part, str) and part for part in parts):
        raise DagsterInvalidDefinitionError(f"key_prefix must be a text or a list of texts, none empty, not {given!r}.")
    if any("/" in part for part in parts):
        divided = [found for part in parts for found in part.split("/") if found]
        raise DagsterInvalidDefinitionError(f"key_prefix {given!r} has a slash; give its parts as a list: {divided!r}.")
    return list(parts)


def check_timezone(name: str) -> None:
    """Refuse a time zone that does not exist.

    Raises
    ------
    DagsterInvalidDefinitionError
        There is none of this name on this machine.
    """
    try:
        ZoneInfo(name)
    except (LookupError, OSError, TypeError, ValueError):
        known = {zone.lower(): zone for zone in available_timezones()}
        near = difflib.get_close_matches(str(name).lower(), known, n=3)
        hint = f"did you mean {' or '.join(known[zone] for zone in near)}?" if near else "such as 'Europe/Berlin'."
        raise DagsterInvalidDefinitionError(f"timezone: there is no time zone {name!r}; {hint}") from None


def check_tags(setting: str, tags: object) -> None:
    """Refuse what Dagster cannot store as tags.

    Raises
    ------
    DagsterInvalidDefinitionError
        It is no mapping of texts to what JSON can say.
    """
    if tags is None:
        return
    if not isinstance(tags, Mapping):
        raise DagsterInvalidDefinitionError(f"{setting} must be a mapping of names to values, not {tags!r}.")
    for tag, value in tags.items():
        if not isinstance(tag, str) or not tag:
            raise DagsterInvalidDefinitionError(f"{setting}: {tag!r} is no name of a tag; names are texts.")
        try:
            is_kept = json.loads(json.dumps(value)) == value
        except (TypeError, ValueError):
            is_kept = False
        if not is_kept:
            raise DagsterInvalidDefinitionError(
                f"{setting}: {tag!r} has a value that JSON does not keep, {value!r}; use texts, numbers and lists."
            )


def check_run_tags(tags: object, own: str, kind: str = "curation") -> None:
    """Refuse what cannot be tags of runs, or has the one tag that is always set.

    Raises
    ------
    DagsterInvalidDefinitionError
        It is no mapping of texts to what JSON can say, or has the tag `own`.
    """
    check_tags("tags", tags)
    if isinstance(tags, Mapping) and own in tags:
        raise DagsterInvalidDefinitionError(f"tags: {own!r} is always the {kind}'s name; leave it out.")


def check_executor_for(given: object) -> None:
    """Refuse what does not say whom the executor is for.

    Raises
    ------
    DagsterInvalidDefinitionError
        It is neither ``"all"`` nor ``"jobs"``.
    """
    if given not in ("all", "jobs"):
        raise DagsterInvalidDefinitionError(f"executor_for must be 'all' or 'jobs', not {given!r}.")


def check_retry_policy(given: object) -> None:
    """Refuse what is no retry policy.

    Raises
    ------
    DagsterInvalidDefinitionError
        It is something else.
    """
    if not isinstance(given, RetryPolicy | None):
        raise DagsterInvalidDefinitionError(
            f"retry_policy must be a RetryPolicy, such as RetryPolicy(max_retries=3), not {given!r}."
        )


def upstream_of(deps: object) -> list[AssetDep]:
    """Assets upstream that ``deps`` names.

    Raises
    ------
    DagsterInvalidDefinitionError
        It is no list of them, or has one twice.
    """
    if isinstance(deps, str):
        raise DagsterInvalidDefinitionError(f"deps must be a list: [{deps!r}].")
    if not isinstance(deps, Sequence | None):
        raise DagsterInvalidDefinitionError(f"deps must be a list of keys or definitions of assets, not {deps!r}.")
    try:
        found = [AssetDep.from_coercible(dep) for dep in deps or ()]
    except (CheckError, DagsterError) as exc:
        raise DagsterInvalidDefinitionError(f"deps: {exc}") from None
    twice = [dep.asset_key.to_user_string() for dep in found if found.count(dep) > 1]
    if twice:
        raise DagsterInvalidDefinitionError(f"deps has {twice[0]} twice.")
    return found


def check_members(setting: str, given: object, kind: type, described: str) -> None:
    """Refuse what is no set or list of objects of one kind.

    Raises
    ------
    DagsterInvalidDefinitionError
        It is no collection, or holds something else.
    """
    if given is None or (isinstance(given, Collection) and all(isinstance(member, kind) for member in given)):
        return
    raise DagsterInvalidDefinitionError(f"{setting} must be a set of {described}, not {given!r}.")


def check_pool(pool: object) -> None:
    """Refuse what is no name of a concurrency pool.

    Raises
    ------
    DagsterInvalidDefinitionError
        It is no text, or has spaces.
    """
    if pool is not None and not (isinstance(pool, str) and pool.split() == [pool]):
        raise DagsterInvalidDefinitionError(f"pool must be a name without spaces, not {pool!r}.")
