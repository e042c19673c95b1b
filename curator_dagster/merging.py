"""`merge_definitions`: curations, workflows and other assets as one code location."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dagster import AssetsDefinition, AssetSpec, DagsterInvalidDefinitionError, Definitions, SourceAsset

from curator_dagster.metadata.location import names_defined

MAX_NAMED = 3
_HINTS = {
    "partitions": "Give one of them another name",
    "resource": "Give both the same object, or one of them another key",
    "asset": "Give one of them a key_prefix, or in its translator another key",
    "job": "Give one of them another name",
    "sensor or schedule": "Give one of them another name",
}


def merge_definitions(*parts: Definitions) -> Definitions:
    """One code location of several `Definitions`; what only one of them can have is named, and whose it is.

    Dagster's `Definitions.merge` refuses the same things by number or key, some of them only when the location loads.

    Parameters
    ----------
    parts
        What `build_curation_defs` and `build_workflow_defs` give, and any others.

    Raises
    ------
    DagsterInvalidDefinitionError
        Two have different executors, different resources under one key, or one name or asset key.
    """
    _check_executors(parts)
    seen: dict[tuple[str, str], tuple[int, object]] = {}
    for number, part in enumerate(parts):
        for kind, name, defined in _claims(part):
            first, other = seen.setdefault((kind, name), (number, defined))
            if defined is not other:
                raise DagsterInvalidDefinitionError(
                    f"{_owner(parts, first)} and {_owner(parts, number)} both define the {kind} {name!r}, of which a "
                    f"code location has one. {_HINTS[kind]}."
                )
    return Definitions.merge(*parts)


def _check_executors(parts: tuple[Definitions, ...]) -> None:
    owners = {number: part.executor for number, part in enumerate(parts) if part.executor is not None}
    if len(set(map(id, owners.values()))) > 1:
        raise DagsterInvalidDefinitionError(
            f"{_listed(_owner(parts, number) for number in owners)} have different executors, but a code location has "
            "one for all runs that are launched from its assets. Give all the same object, or say "
            'executor_for="jobs" for those that differ: their jobs keep their own.'
        )


def _claims(part: Definitions) -> Iterator[tuple[str, str, object]]:
    """Kind, name and object of everything of which a location has one by its name."""
    yield from (("partitions", name, part) for name in names_defined(part))
    yield from (("resource", key, resource) for key, resource in (part.resources or {}).items())
    for asset in part.assets or ():
        keys = asset.keys if isinstance(asset, AssetsDefinition) else ()
        keys = {asset.key} if isinstance(asset, AssetSpec | SourceAsset) else keys
        yield from (("asset", key, asset) for key in sorted(key.to_user_string() for key in keys))
    yield from (("job", job.name, job) for job in part.jobs or ())
    yield from (("sensor or schedule", made.name, made) for made in [*(part.sensors or ()), *(part.schedules or ())])


def _owner(parts: tuple[Definitions, ...], number: int) -> str:
    """What a person calls a part: curations and workflows by their names, others by what they define first."""
    part = parts[number]
    if names := names_defined(part):
        return _listed(map(repr, names))
    first = next((name for kind, name, _ in _claims(part) if kind != "resource"), None)
    return f"argument {number + 1}" if first is None else f"argument {number + 1} (with {first!r})"


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    shown = found if len(found) <= MAX_NAMED else [*found[: MAX_NAMED - 1], f"{len(found) - MAX_NAMED + 1} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
