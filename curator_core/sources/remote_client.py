"""The client that reads below a URL: of an object store, or of a web server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from curator_core.errors import ConfigError, MissingDependencyError
from curator_core.storage.objects.stores import SCHEMES, ObjectUrl, client_options, object_store
from curator_core.storage.places import url_scheme

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore

WEB = ("http", "https")
"""Schemes of web servers."""
FSSPEC = ("memory", "hf", "hdfs", "webhdfs", "sftp", "oss")
"""Schemes that are left to fsspec."""
READABLE = (*SCHEMES, *WEB, *FSSPEC)
"""Schemes of the URLs that sources read."""


def checked_url(url: str, component: str) -> str:
    """The URL of a prefix, without a slash at its end.

    Raises
    ------
    ConfigError
        Its scheme is none of `READABLE`, it has lost a slash, holds credentials, or names nothing.
    """
    scheme, what = url_scheme(url), f"{component}:"
    if scheme not in READABLE:
        raise ConfigError(
            f"{what} {url!r} cannot be read: local paths can, and URLs of the schemes {', '.join(READABLE)}. Copy or "
            "mount the files first."
        )
    if "://" not in url:
        raise ConfigError(f"{what} {url!r} has lost a slash, as a URL does in a Path: give it as a text.")
    if scheme in SCHEMES:
        return str(ObjectUrl.parse(url, what, is_prefix=True)).rstrip("/")
    parts = urlsplit(url)
    has_name = parts.hostname if scheme in WEB else f"{parts.netloc}{parts.path}".strip("/")
    if not has_name or parts.username is not None or parts.query:
        bare = f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        raise ConfigError(
            f"{what} {bare!r} needs the name of a place, and no credentials or query, as a URL is recorded as it is."
        )
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def client(url: str, options: Mapping[str, str], component: str) -> ObjectStore:
    """The client for the bucket of a URL, or for what is below it on a web server; it retries nothing itself.

    Parameters
    ----------
    url
        As `checked_url` gives it.
    options
        Credentials and the like, by obstore's names; they have precedence over the environment.
    component
        Who reads, for messages.

    Raises
    ------
    MissingDependencyError
        Obstore is not installed.
    ConfigError
        An option is unknown, or its value is wrong.
    """
    try:
        if url_scheme(url) in WEB:
            return _web_client(url, component)
        return object_store(ObjectUrl.parse(url, f"{component}:", is_prefix=True), options, retries=False)
    except (ConfigError, MissingDependencyError):
        raise
    except Exception as exc:  # noqa: BLE001 - whatever it is, it says what may be a secret
        names = ", ".join(sorted(options)) or "none was given"
        raise ConfigError(
            f"{component}: {url} cannot be opened with storage_options ({names}): {type(exc).__name__}; see their "
            "names and values in obstore's documentation."
        ) from None


def web_address(url: str, name: str | None = None) -> str:
    """URL of a place on a web server, or of a file below it, with the characters that a URL cannot have escaped."""
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.netloc}{quote(parts.path, safe='/%')}"
    return place if name is None else f"{place}/{quote(name)}"


def _web_client(url: str, component: str) -> ObjectStore:
    try:
        from obstore.store import HTTPStore
    except ImportError as exc:
        raise MissingDependencyError.of("obstore", "objects", f"{component}: {url_scheme(url)}://") from exc
    options: ClientConfig = client_options(url)  # type: ignore[assignment]
    web: ObjectStore = HTTPStore.from_url(web_address(url), client_options=options, retry_config={"max_retries": 0})
    return web
