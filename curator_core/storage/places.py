"""Whether a text names a place on this machine that can be written."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from curator_core.errors import ConfigError

_SCHEMES = frozenset(
    (
        *("s3", "s3a", "s3n", "gs", "gcs", "az", "abfs", "abfss", "adl", "wasb", "wasbs", "oss", "oci", "swift", "r2"),
        *("http", "https", "ftp", "ftps", "sftp", "ssh", "scp", "smb", "hdfs", "webhdfs", "dbfs", "gdrive", "hf"),
        *("file", "local", "memory", "zip", "tar", "sqlite", "postgresql", "redis", "ipfs"),
    )
)
"""Schemes that are recognised where `pathlib` has taken one of the two slashes away."""
_NAME_OF_PLACE = re.compile(
    r"(^|_)(path|dir|directory|folder|file|filename|out|output|outputs|root|target|dest|destination)($|_)"
)
_DEFAULT_NAME_MAX = 255
_PATH_MAX = 4096
_MAX_LEVELS = 500


def local_place(path: str | os.PathLike[str], what: str, *, expand: bool = False) -> Path:
    """The place that a path names, which must be a local one.

    Parameters
    ----------
    path
        The path.
    what
        What is to be there, for messages, such as ``the metrics database``.
    expand
        Take a leading ``~`` for the home folder; otherwise it is refused.

    Raises
    ------
    ConfigError
        It is a URL, begins with ``~``, is empty, or holds what no path or no UTF-8 can hold.
    """
    text = os.fspath(path)
    scheme = url_scheme(text)
    if scheme == "file":
        meant = unquote(urlsplit(text.replace("file:/", "file:///", 1) if "://" not in text else text).path)
        raise ConfigError(f"{what} {text!r} is a URL; give the local path itself: {meant!r}.")
    if scheme:
        raise ConfigError(
            f"{what} {text!r} is a URL ({scheme}), which cannot be written: give a local path, and copy what is there "
            "afterwards, or mount the place as a folder."
        )
    if expand:
        text = os.path.expanduser(text)  # noqa: PTH111 - keeps what it does not know
    if text.startswith("~"):
        known = os.path.expanduser(text)  # noqa: PTH111 - as above
        hint = f"write {known!r}" if known != text else f"write './{text}' for a folder of that name"
        raise ConfigError(f"{what} {text!r} begins with '~', which only a shell expands: {hint}.")
    if "\0" in text or not text.strip():
        raise ConfigError(f"{what} {text!r} is no path.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{what} {text!r} is no UTF-8: choose another name.") from None
    return Path(text)


def cache_directory(db_dir: str | os.PathLike[str] | None = None) -> Path:
    """`db_dir`, else ``$CURATOR_CACHE_DIR``, else ``$XDG_CACHE_HOME/curator``, else ``~/.cache/curator``."""
    if db_dir is not None:
        return local_place(db_dir, "db_dir", expand=True)
    if explicit := os.environ.get("CURATOR_CACHE_DIR"):
        return local_place(explicit, "CURATOR_CACHE_DIR", expand=True)
    return own_cache()


def own_cache() -> Path:
    """The user's own cache folder, where nothing names another."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    if cache and Path(cache).is_absolute():  # its specification has relative ones ignored
        return Path(cache) / "curator"
    return Path.home() / ".cache" / "curator"


def work_folder(scheme: str) -> Path:
    """Where the parts of outputs lie that URLs of a scheme name, until they are published.

    It is below ``$CURATOR_WORK_DIR``, else in the folder ``work`` of `cache_directory`. Every worker has to reach it.
    """
    if explicit := os.environ.get("CURATOR_WORK_DIR"):
        return local_place(explicit, "CURATOR_WORK_DIR", expand=True) / scheme
    return cache_directory() / "work" / scheme


def url_scheme(text: str, also: Container[str] = ()) -> str:
    """Scheme of a URL, in small letters; empty for a path.

    Parameters
    ----------
    text
        A path or URL, which may have lost a slash in a `pathlib.Path`.
    also
        Schemes that are recognised without that slash, besides the usual ones.
    """
    if "://" in text:
        return text.partition("://")[0].lower()
    before, colon, after = text.partition(":")
    scheme = before.lower()
    return scheme if colon and after.startswith("/") and (scheme in _SCHEMES or scheme in also) else ""


def places_among(arguments: Mapping[str, object]) -> Iterator[str]:
    """The local places among a component's arguments: paths, and texts that are meant for one as far as that shows."""
    for name, value in arguments.items():
        if isinstance(value, str | os.PathLike) and _is_place(name, value):
            yield os.fsdecode(value)


def _is_place(name: str, value: str | os.PathLike[str]) -> bool:
    text = os.fsdecode(value)
    if not text.strip() or "\0" in text or "\n" in text or len(text) >= _PATH_MAX or url_scheme(text):
        return False
    if isinstance(value, os.PathLike) or _NAME_OF_PLACE.search(name.lower()) is not None:
        return True
    return os.sep in text and (os.path.isabs(text) or os.path.isdir(os.path.dirname(text)))  # noqa: PTH112, PTH117, PTH120 - a text


def real_place(path: str | os.PathLike[str]) -> str:
    """The absolute path without links of any text; the text itself where no path can hold it."""
    text = os.fspath(path)
    return text if "\0" in text else os.path.realpath(text)


def check_lengths(folder: Path, names: Iterable[str], what: str) -> None:
    """Raise `ConfigError` when a name is longer than the file system of `folder`, which need not exist yet, takes.

    Parameters
    ----------
    folder
        Where they will stand.
    names
        Every name that will be used there.
    what
        What the names belong to, for messages.
    """
    place = Path(os.path.abspath(folder))  # noqa: PTH100 - no links followed
    if len(place.parts) > _MAX_LEVELS:
        raise ConfigError(f"{what} lies more than {_MAX_LEVELS} folders deep: choose another place.")
    limit = _name_max(next(p for p in (place, *place.parents) if os.path.exists(p)))  # noqa: PTH110 - none is too long
    for name in (*names, *place.parts[1:]):
        size = len(os.fsencode(name))
        if size > limit:
            raise ConfigError(
                f"{what} has too long a name: {name[:40]!r}…, of {size} bytes, is needed there, and the file system "
                f"takes {limit}. Choose a name shorter by {size - limit}."
            )
        if len(os.fsencode(place / name)) >= _PATH_MAX:
            raise ConfigError(f"{what} has too long a path: the system takes {_PATH_MAX} bytes. Choose a shorter one.")


def check_folder(folder: Path, what: str) -> None:
    """Raise `ConfigError` when `folder` is none that can be written to, nor can be made; nothing is created."""
    place = Path(os.path.abspath(folder))  # noqa: PTH100 - no links followed
    parent = next(p for p in (place, *place.parents) if os.path.lexists(p))
    if not parent.is_dir():
        raise ConfigError(f"{what} cannot be created: {str(parent)!r} is no folder.")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ConfigError(f"{what} cannot be created: {str(parent)!r} is not writable.")


def _name_max(folder: Path) -> int:
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (OSError, ValueError, AttributeError):  # a file system, or a system, that does not tell
        return _DEFAULT_NAME_MAX
