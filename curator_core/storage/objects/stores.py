"""The client of an object store, from a URL and what the environment says of credentials."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from curator_core.errors import ConfigError, MissingDependencyError
from curator_core.storage.objects.forked import require_unforked

if TYPE_CHECKING:
    from obstore.store import AzureStore, GCSStore, S3Store

SCHEMES = ("s3", "gs", "az")
"""Schemes of the URLs that name objects: ``s3://bucket/name``, ``gs://bucket/name``, ``az://container/name``."""

TRIES = 8
"""How often a request is made that fails for want of a connection, or is answered 429 or 5xx."""
FIRST_PAUSE_S = 0.2
"""Pause after the first try; each is twice the one before, some chance apart."""
LONGEST_PAUSE_S = 15.0
"""Longest pause between two tries."""

PUBLIC_OPTIONS = frozenset(
    (
        *("region", "endpoint", "endpoint_url", "allow_http", "skip_signature", "virtual_hosted_style_request"),
        *("account_name", "storage_account_name", "request_payer", "use_emulator", "unsigned_payload"),
    )
)
"""Storage options whose values are no secrets, also after a provider's name such as ``aws_``."""

Options = Mapping[str, str | bool | int]
"""Settings and credentials by obstore's names."""

_given: dict[str, Options] = {}
"""Those of outputs, by the folder that they are published to; in memory alone."""


@dataclass(frozen=True, slots=True)
class ObjectUrl:
    """A URL of an object, taken apart."""

    scheme: str
    """One of `SCHEMES`."""
    bucket: str
    """The bucket, or container."""
    key: str
    """Name of the object in it, without a slash at its ends."""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"

    @classmethod
    def parse(cls, url: str, what: str = "the output", *, is_prefix: bool = False) -> Self:
        """Take a URL apart.

        Parameters
        ----------
        url
            The URL.
        what
            What it names, for messages.
        is_prefix
            Whether it may be a whole bucket, whose key is empty.

        Raises
        ------
        ConfigError
            It holds credentials, or names no object.
        """
        scheme, _, rest = url.partition("://")
        bucket, _, key = rest.partition("/")
        if "@" in bucket or "?" in rest:
            bare = f"{scheme}://{bucket.rpartition('@')[2]}/{key.partition('?')[0]}"
            raise ConfigError(
                f"{what} {bare!r} is given with credentials or options: a URL is recorded as it is, so set them in the "
                "environment, and give the URL alone."
            )
        key = key.strip("/")
        names = [] if is_prefix and not key else key.split("/")
        if scheme not in SCHEMES or not bucket or not all(names) or {".", ".."} & set(names):
            raise ConfigError(f"{what} {url!r} names no object: write {scheme}://bucket/folder/name.")
        return cls(scheme, bucket, key)


def is_public(option: str) -> bool:
    """Whether the value of a storage option may be shown."""
    name = option.lower()
    return name in PUBLIC_OPTIONS or name.partition("_")[2] in PUBLIC_OPTIONS


def secrets_in(options: Mapping[str, object]) -> list[str]:
    """Values of storage options that no message shows."""
    return [str(value) for name, value in options.items() if not is_public(name)]


def without_public(secrets: Iterable[str], options: object) -> list[str]:
    """Secrets of a component, without those values of its storage options that may be shown."""
    public = {value for name, value in options.items() if is_public(name)} if isinstance(options, Mapping) else set()
    return [text for text in secrets if text not in public]


def give_options(output: str, options: Options) -> None:
    """Use settings and credentials in this process for whatever lies in the folder that an output is published to.

    They are used in place of those of the environment, and written nowhere.

    Parameters
    ----------
    output
        URL of the output.
    options
        The settings, by obstore's names.

    Raises
    ------
    ConfigError
        It is no URL of an object.
    """
    if "://" not in output:
        raise ConfigError(f"storage_options are for outputs that a URL names, and {output!r} is a path.")
    _given[f"{ObjectUrl.parse(output)}".rpartition("/")[0] + "/"] = dict(options)


def given_options(url: ObjectUrl) -> Options:
    """What `give_options` has for an object: that of the folder nearest above it; nothing where there is none."""
    folders = [folder for folder in _given if f"{url}".startswith(folder)]
    return _given[max(folders, key=len)] if folders else {}


def given_secrets() -> list[str]:
    """All secrets that `give_options` was called with."""
    return [secret for options in _given.values() for secret in secrets_in(options)]


def option(options: Options, *names: str) -> str | None:
    """The first of some options that is given, by its name with or without a provider's before it."""
    plain = {name.lower().removeprefix("aws_").removeprefix("azure_").removeprefix("google_"): name for name in options}
    return next((str(options[plain[name]]) for name in names if name in plain), None)


def object_store(
    url: ObjectUrl, options: Options | None = None, *, retries: bool = True
) -> S3Store | GCSStore | AzureStore:
    """The client for the bucket of a URL.

    Credentials and endpoint are those that were given for the place, see `give_options`, else those of the
    environment, which obstore reads: ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_ENDPOINT_URL`` and the
    others of that kind, ``GOOGLE_…``, ``AZURE_…``.

    Parameters
    ----------
    url
        The URL.
    options
        Settings of obstore for the service, such as ``{"endpoint": "…"}``, which go before those of the environment.
    retries
        Whether requests are made again that fail for want of a connection, or are answered 429 or 5xx.

    Raises
    ------
    MissingDependencyError
        Obstore is not installed.
    PipelineStateError
        A process that used such a client forked this one.
    """
    try:
        from obstore import store
    except ImportError as exc:
        raise MissingDependencyError.of("obstore", "objects", f"{url.scheme}://") from exc
    require_unforked()
    given = dict(options or given_options(url))
    service = option(given, "endpoint", "endpoint_url")
    common: dict[str, Any] = {
        **given,
        "client_options": client_options(service or endpoint(url.scheme)),
        "retry_config": _retries() if retries else {"max_retries": 0},
    }
    if url.scheme == "s3":
        return store.S3Store(url.bucket, **common)
    if url.scheme == "gs":
        return store.GCSStore(url.bucket, **common)
    return store.AzureStore(url.bucket, **common)


def client_options(service: str | None) -> dict[str, Any]:
    """Plain HTTP where the endpoint is one, as that of a server on this machine; no limit for large objects."""
    waiting = {"timeout": timedelta(days=1), "read_timeout": timedelta(seconds=30)}
    return waiting | ({"allow_http": True} if (service or "").startswith("http://") else {})


def endpoint(scheme: str) -> str | None:
    """Address of the service, where the environment names one other than the provider's own."""
    if scheme == "s3":
        return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None
    return os.environ.get("AZURE_STORAGE_ENDPOINT") or None if scheme == "az" else None


def _retries() -> dict[str, Any]:
    backoff = {"init_backoff": timedelta(seconds=FIRST_PAUSE_S), "max_backoff": timedelta(seconds=LONGEST_PAUSE_S)}
    return {"max_retries": TRIES - 1, "backoff": backoff | {"base": 2}, "retry_timeout": timedelta(minutes=3)}
