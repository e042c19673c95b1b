"""Files below a URL of one of fsspec's file systems, for what obstore has no client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, TypeVar

from curator_core.errors import ConfigError, CuratorError, EmptySourceError, MissingDependencyError
from curator_core.sources.glob import matching
from curator_core.sources.remote_folder import BY_TIME, CHUNK_BYTES, RemoteFolder
from curator_core.storage.disk import is_full
from curator_core.storage.objects.retrying import PassingError, passing_status, retried

T = TypeVar("T")

_TAGS = ("ETag", "etag", "blob_id", "sha256", "md5", "checksum")
_TIMES = ("last_modified", "LastModified", "mtime", "modified", "created")


class FsspecFolder(RemoteFolder):
    """Files of a file system of fsspec, such as ``hf://`` or ``memory://``; parameters as `RemoteFolder`.

    Identities are size and what the file system has of the kind of an ETag, or else of a time.
    """

    _files: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_files": None}

    def _listed_objects(self, pattern: str) -> dict[str, str]:
        files, root = self._opened_files()
        found = retried(lambda: _translated(lambda: files.find(root, detail=True)), self.url)
        top = f"{root.rstrip('/')}/"
        identities = {path.removeprefix(top): _identity(info) for path, info in found.items()}
        if not identities:
            raise EmptySourceError(f"{self._component}: there is nothing below {self.url}/: correct the URL.")
        return {name: identities[name] for name in matching(sorted(identities), pattern)}

    def _answer(self, name: str, identity: str, start: int) -> tuple[str, Iterable[bytes]]:
        files, root = self._opened_files()
        path = f"{root.rstrip('/')}/{name}"
        info = _translated(lambda: files.info(path))
        return _identity(info), _chunks(files, path, start)

    def _is_answer(self, error: Exception) -> bool:
        return not isinstance(error, CuratorError) and not (isinstance(error, OSError) and is_full(error))

    def _check_client(self) -> None:
        self._opened_files()

    def _opened_files(self) -> tuple[Any, str]:
        if self._files is None:
            scheme = self.url.partition("://")[0]
            try:
                from fsspec.core import url_to_fs  # noqa: PLC0415 - an extra

                self._files = url_to_fs(self.url, **self._given)
            except ImportError as exc:
                raise MissingDependencyError(f"{self._component}: {scheme}:// needs a package more: {exc}") from exc
            except Exception as exc:  # noqa: BLE001 - whatever it is, it says what may be a secret
                raise ConfigError(
                    f"{self._component}: {self.url} cannot be opened: {type(exc).__name__}; see fsspec's documentation "
                    f"of {scheme}:// and its storage_options."
                ) from None
        files: tuple[Any, str] = self._files
        return files


def _chunks(files: Any, path: str, start: int) -> Iterator[bytes]:  # noqa: ANN401 - fsspec has no types
    with _translated(lambda: files.open(path, "rb")) as file:
        file.seek(start)
        while chunk := _translated(lambda: file.read(CHUNK_BYTES)):
            yield chunk


def _translated(request: Callable[[], T]) -> T:
    """What a request gives; its error is a `PassingError` where that may pass."""
    try:
        return request()
    except Exception as exc:
        status = getattr(getattr(exc, "response", None), "status_code", None) or getattr(exc, "status", None)
        if isinstance(status, int) and passing_status(str(status)):
            raise PassingError(str(status)) from exc
        if isinstance(exc, ConnectionError | TimeoutError):
            raise PassingError("a lost connection") from exc
        raise


def _identity(info: Mapping[str, Any]) -> str:
    size = info["size"] or 0
    known = info | (info.get("lfs") or {}) if isinstance(info, dict) else info
    tag = next((str(known[name]) for name in _TAGS if known.get(name)), "")
    changed = next((known[name] for name in _TIMES if known.get(name)), None)
    if tag:
        return f"{size}-{tag.replace(chr(34), '')}"
    return str(size) if changed is None else f"{size}-{BY_TIME}{_time(changed)}"


def _time(value: object) -> str:
    """A time, which a listing and the file's own entry may give in different types."""
    seconds = value.timestamp() if isinstance(value, datetime) else value
    return f"{seconds:.6f}" if isinstance(seconds, float) else str(seconds)
