"""Files below a URL: listed, and read from local copies."""

from __future__ import annotations

import uuid
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote

from curator_core.errors import ComponentError, ConfigError, CuratorError, EmptySourceError
from curator_core.redaction import Redactor
from curator_core.sources.glob import matching
from curator_core.sources.remote_client import WEB, checked_url, client, web_address
from curator_core.sources.web_index import linked_files
from curator_core.storage.downloads import RemoteFile, downloads
from curator_core.storage.objects.failures import meaning
from curator_core.storage.objects.forked import require_unforked
from curator_core.storage.objects.retrying import PassingError, is_of_client, retried
from curator_core.storage.objects.stores import secrets_in
from curator_core.storage.places import url_scheme

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta
    from obstore.store import ObjectStore

CHUNK_BYTES = 1 << 20
"""What a lost connection costs at most."""
_CONNECTIONS = 16
BY_TIME = "@"
"""Begins what stands for an ETag where the server gives none."""


class RemoteFolder:
    """Files below the URL of an object store or a web server.

    Identities are size and ETag; where a server has no ETag, the time of the last change.

    Parameters
    ----------
    url
        The place.
    options
        Credentials and the like for the client; those of the environment come after them.
    cache_size
        Bytes of local copies that are kept, see `downloads`.
    component
        Who reads, for messages.
    """

    def __init__(self, url: str, options: Mapping[str, Any], cache_size: int | str | None, component: str) -> None:
        self.url = checked_url(url, component)
        self._given = dict(options)
        self._options = {n: str(v).lower() if isinstance(v, bool) else str(v) for n, v in options.items()}
        self._cache_size, self._component = cache_size, component
        self._is_web = url_scheme(self.url) in WEB
        self._prefix = "" if self._is_web else "/".join(self.url.split("/")[3:])
        self._client: ObjectStore | None = None
        self._listing_id = uuid.uuid4().hex

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_client": None}

    def listed(self, pattern: str) -> dict[str, str]:
        """Identities by name, relative to the URL, of the files whose names match a pattern.

        Raises
        ------
        ConfigError
            It cannot be listed: wrong credentials, no such bucket, no network.
        """
        downloads(self._cache_size).check()
        try:
            self._check_client()
            return self._listed_on_web(pattern) if self._is_web else self._listed_objects(pattern)
        except CuratorError:
            raise
        except Exception as exc:
            if isinstance(exc, FileNotFoundError) and "NoSuchBucket" not in str(exc):
                raise EmptySourceError(f"{self._component}: there is nothing at {self.url}: correct the URL.") from None
            if not self._is_answer(exc):
                raise
            raise ConfigError(f"{self._component}: {self.url} cannot be listed: {self._why(exc)}.") from None

    def address(self, name: str) -> str:
        """URL of a file."""
        return web_address(self.url, name) if self._is_web else f"{self.url}/{name}"

    def name_of(self, url: str) -> str | None:
        """Name of the file of a URL, relative to the place; ``None`` where it is elsewhere."""
        root = f"{web_address(self.url) if self._is_web else self.url}/"
        if not url.startswith(root):
            return None
        return unquote(url.removeprefix(root)) if self._is_web else url.removeprefix(root)

    @contextmanager
    def opened(self, url: str, identity: str, key: str) -> Iterator[Path]:
        """Path of a local copy of a file, which stays there within.

        Parameters
        ----------
        url
            Its URL.
        identity
            As it was listed.
        key
            Of its item, for messages.

        Raises
        ------
        ComponentError
            It cannot be had, or is not what was listed any more.
        """
        size, _, version = identity.partition("-")
        known = identity if version else f"{identity}-{self._listing_id}"  # of a size alone, no copy outlasts a listing
        file = RemoteFile(url, known, int(size))
        with downloads(self._cache_size).opened(file, partial(self._fetch, file, identity, key)) as path:
            yield path

    def _listed_objects(self, pattern: str) -> dict[str, str]:
        import obstore

        top = f"{self._prefix}/" if self._prefix else ""

        found: dict[str, str] = {}

        def list_rest() -> None:
            last = next(reversed(found), None)
            for metas in obstore.list(self._opened(), self._prefix or None, offset=last):
                found.update((meta["path"], _identity(meta)) for meta in metas)

        retried(list_rest, self.url, lambda: len(found))
        names = sorted(path.removeprefix(top) for path in found if path.startswith(top))
        if not names:
            raise EmptySourceError(f"{self._component}: there is nothing below {self.url}/: correct the URL.")
        identities = {name: found[top + name] for name in matching(names, pattern)}
        return {name: known for name, known in identities.items() if not _is_marker(name, known, names)}

    def _listed_on_web(self, pattern: str) -> dict[str, str]:
        import obstore

        store = self._opened()

        def page(name: str) -> str:
            answer = retried(lambda: bytes(obstore.get(store, name).bytes()), self.address(name))
            return answer.decode(errors="replace")

        def identity(name: str) -> str:
            return _identity(retried(lambda: obstore.head(store, name), self.address(name)))

        names = matching(linked_files(web_address(self.url), page), pattern)
        pool = ThreadPoolExecutor(_CONNECTIONS, "curator-listing")
        try:
            return dict(zip(names, pool.map(identity, names), strict=True))
        finally:
            pool.shutdown(cancel_futures=True)

    def _fetch(self, file: RemoteFile, identity: str, key: str, target: BinaryIO) -> None:
        """Download a file; after a lost connection, the server gives the rest where it can."""
        try:
            retried(
                partial(self._continue, file, identity, target), file.url, lambda: 0 if self._is_web else target.tell()
            )
        except _ChangedError as exc:
            why = str(exc)
        except PassingError as exc:
            why = f"{exc}{_notes(exc)}"
        except Exception as exc:
            if not self._is_answer(exc):
                raise
            why = f"{self._why(exc)}{_notes(exc)}"
        else:
            return
        text = f"{self._component}: {file.url}: cannot be downloaded: {why}."
        raise ComponentError(text, component=self._component, key=key, file=file.url)

    def _continue(self, file: RemoteFile, identity: str, target: BinaryIO) -> None:
        if self._is_web or not is_strong(identity) or target.tell() >= file.size:
            target.seek(0)
        try:
            found, chunks = self._answer(self.name_of(file.url) or "", identity, target.tell())
        except FileNotFoundError:
            raise _ChangedError("it was removed after it was listed") from None
        if found != identity:
            raise _ChangedError("it was replaced after it was listed: run again, and the new one is read")
        target.writelines(chunks)
        if target.tell() != file.size:
            raise PassingError("an answer of another length")

    def _answer(self, name: str, identity: str, start: int) -> tuple[str, Iterable[Any]]:
        """Identity of a file, and its content from a position on."""
        import obstore

        options: GetOptions = {}
        if is_strong(identity):
            options["if_match"] = f'"{identity.partition("-")[2]}"'
        if start:
            options["range"] = {"offset": start}
        try:
            answer = obstore.get(self._opened(), f"{self._prefix}/{name}".lstrip("/"), options=options or None)
        except obstore.exceptions.PreconditionError:
            return "", ()
        return _identity(answer.meta), answer.stream(min_chunk_size=CHUNK_BYTES)

    def _is_answer(self, error: Exception) -> bool:
        """Whether an error is the client's, and not one of this machine."""
        return is_of_client(error) or isinstance(error, PassingError | FileNotFoundError)

    def _check_client(self) -> None:
        self._opened()

    def _opened(self) -> ObjectStore:
        require_unforked()
        if self._client is None:
            self._client = client(self.url, self._options, self._component)
        return self._client

    def _why(self, error: Exception) -> str:
        secrets = secrets_in(self._options)
        return Redactor(secrets)(meaning(str(error), self.url))


class _ChangedError(Exception):
    """What is there is not the version that was listed."""


def is_strong(identity: str) -> bool:
    """Whether an identity stands for the content byte by byte, so that a download can be continued."""
    tag = identity.partition("-")[2]
    return bool(tag) and not tag.startswith((BY_TIME, "W/"))


def _identity(meta: ObjectMeta) -> str:
    """Size and ETag of an object, or the time of its last change."""
    tag, changed = meta["e_tag"], meta["last_modified"]
    if tag:
        return f"{meta['size']}-{tag.replace(chr(34), '')}"
    return f"{meta['size']}-{BY_TIME}{changed.isoformat()}" if changed.timestamp() else str(meta["size"])


def _is_marker(name: str, identity: str, names: list[str]) -> bool:
    """Whether an object stands for a folder, as web consoles make them: it is empty, and others lie below its name."""
    if not identity.startswith("0-"):
        return False
    after = bisect_left(names, f"{name}/")
    return after < len(names) and names[after].startswith(f"{name}/")


def _notes(error: Exception) -> str:
    notes = getattr(error, "__notes__", [])
    return f" ({'; '.join(notes)})" if notes else ""
