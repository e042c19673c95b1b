"""`DatasetDescription`: what a pipeline says of its dataset beside what is in it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from curator_core.errors import ConfigError, UnknownNameError
from curator_core.pipeline.annotations import resolved_hints
from curator_core.pipeline.description.rai import RAI_PROPERTIES
from curator_core.pipeline.fitting import fitted

_NUMBER = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_URL = re.compile(r"[a-z][a-z0-9+.-]*:\S+", re.IGNORECASE)
_OF_CREATORS = frozenset({"name", "url", "email", "is_organization"})


@dataclass(frozen=True, slots=True)
class Creator:
    """A person or an organization that made a dataset.

    Raises
    ------
    ConfigError
        It has no name, or its `url` is none.
    """

    name: str
    """Its name."""
    url: str = ""
    """A page of it, such as an ORCID."""
    email: str = ""
    """Where to write to."""
    is_organization: bool = False
    """Whether it is no person."""

    def __post_init__(self) -> None:
        """Raise `ConfigError` where something is missing or malformed."""
        if not self.name.strip():
            raise ConfigError("a creator needs a name.")
        _check_url("url", self.url)


@dataclass(frozen=True, slots=True)
class DatasetDescription:
    """What people say of a dataset, for its Croissant record. None of it is part of what the items are.

    Raises
    ------
    ConfigError
        Something is malformed; the message names it.
    """

    name: str = ""
    """Name; that of the output by default."""
    description: str = ""
    """What is in it, and what it is for."""
    license: Sequence[str] = ()
    """URL of each licence, such as ``https://creativecommons.org/licenses/by/4.0/``, or its name."""
    creators: Sequence[Creator] = ()
    """Who made it."""
    cite_as: str = ""
    """How it is cited, best as BibTeX."""
    url: str = ""
    """Page of the dataset."""
    keywords: Sequence[str] = ()
    """Words by which it is found."""
    version: str = ""
    """Number of it as people count, ``MAJOR.MINOR.PATCH``."""
    date_published: str = ""
    """Date of publication, ISO-8601; that of the version by default."""
    rai: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    """Properties of the Croissant RAI vocabulary, such as ``dataBiases``."""

    def __post_init__(self) -> None:
        """Raise `ConfigError` where something is malformed."""
        _check_url("url", self.url)
        if self.version and not _NUMBER.fullmatch(self.version):
            raise ConfigError(f"version must be three numbers, such as '1.2.0', not {self.version!r}.")
        if self.date_published and not _is_date(self.date_published):
            raise ConfigError(f"date_published must be a date, such as '2026-05-31', not {self.date_published!r}.")
        for name in ("license", "keywords"):
            if any(not text.strip() for text in getattr(self, name)):
                raise ConfigError(f"{name} has an empty text.")
        for name, value in self.rai.items():
            if name not in RAI_PROPERTIES:
                raise UnknownNameError(f"rai: {UnknownNameError.of('property', name, RAI_PROPERTIES)}")
            texts = [value] if isinstance(value, str) else value
            if not texts or any(not text.strip() for text in texts):
                raise ConfigError(f"rai.{name} is empty.")
            if not isinstance(value, str) and not RAI_PROPERTIES[name]:
                raise ConfigError(f"rai.{name} takes one text, not a list.")
        object.__setattr__(self, "rai", dict(self.rai))

    def described(self) -> dict[str, Any]:
        """What `dataset_description` takes, as JSON: what was given, and nothing else."""
        given = {each.name: getattr(self, each.name) for each in fields(self)}
        plain = {name: list(value) if isinstance(value, list | tuple) else value for name, value in given.items()}
        plain["creators"] = [{k: v for k, v in asdict(creator).items() if v} for creator in self.creators]
        plain["rai"] = {name: v if isinstance(v, str) else list(v) for name, v in sorted(self.rai.items())}
        return {name: value for name, value in plain.items() if value}


def dataset_description(given: object, *, where: str) -> DatasetDescription | None:
    """The description that an entry of a pipeline file makes; ``None`` for no entry.

    A single licence, keyword or creator may stand without a list, and a creator be its name alone.

    Parameters
    ----------
    given
        The entry, or a description, which is given back.
    where
        Where it stands, for messages.

    Raises
    ------
    ConfigError
        It describes none; the message names what is wrong.
    """
    if given is None or isinstance(given, DatasetDescription):
        return given
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where} must be a mapping, such as {{'license': 'CC-BY-4.0'}}, not {given!r}.")
    known = [each.name for each in fields(DatasetDescription)]
    for name in given:
        if name not in known:
            raise UnknownNameError(f"{where}: {UnknownNameError.of('entry', name, known)}")
    found = {str(name): value for name, value in given.items() if value is not None}
    for name in ("license", "keywords", "creators"):
        if isinstance(found.get(name), str | Mapping):
            found[name] = [found[name]]
    if isinstance(found.get("date_published"), dt.date):  # of YAML, without quotes
        found["date_published"] = found["date_published"].isoformat()
    hints = resolved_hints(DatasetDescription.__init__)
    if "creators" in found:
        found["creators"] = _creators(found["creators"], f"{where}.creators")
    arguments = {
        name: value if name == "creators" else fitted(value, hints[name], where=f"{where}.{name}")
        for name, value in found.items()
    }
    try:
        return DatasetDescription(**arguments)
    except ConfigError as exc:
        raise type(exc)(f"{where}: {exc}") from None


def _creators(given: object, where: str) -> tuple[Creator, ...]:
    if not isinstance(given, list | tuple):
        raise ConfigError(f"{where} must be a list of names or mappings, not {given!r}.")
    found = []
    for number, one in enumerate(given):
        if isinstance(one, Creator):
            found.append(one)
            continue
        entry = {"name": one} if isinstance(one, str) else one
        if isinstance(entry, Mapping):
            for name in entry:
                if name not in _OF_CREATORS:
                    raise UnknownNameError(f"{where}[{number}]: {UnknownNameError.of('entry', name, _OF_CREATORS)}")
        creator = fitted(entry, dict[str, str | bool], where=f"{where}[{number}]")
        try:
            found.append(Creator(**creator))
        except TypeError:
            raise ConfigError(f"{where}[{number}]: a creator needs a name.") from None
        except ConfigError as exc:
            raise ConfigError(f"{where}[{number}]: {exc}") from None
    return tuple(found)


def _check_url(name: str, text: str) -> None:
    if text and not _URL.fullmatch(text):
        raise ConfigError(f"{name} must be a URL, such as 'https://example.org/data', not {text!r}.")


def _is_date(text: str) -> bool:
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
