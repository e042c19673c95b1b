"""Icechunk repositories: where they lie, and how they are opened."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from curator_core.errors import MissingDependencyError
from curator_core.storage.objects import stores
from curator_core.storage.objects.forked import require_unforked

if TYPE_CHECKING:
    import icechunk

SUFFIX: Final = ".icechunk"
"""What the names of repositories end in."""
_MARKS: Final = ("refs", "repo")
"""What a repository has, of one version of its format or the other."""


def icechunk_library() -> Any:  # noqa: ANN401 - a module, whose versions differ
    """The library.

    Raises
    ------
    MissingDependencyError
        It is not installed.
    """
    try:
        import icechunk
    except ImportError as exc:
        raise MissingDependencyError.of("icechunk", "objects", f"An output named …{SUFFIX}") from exc
    require_unforked()
    if "ICECHUNK_LOG" not in os.environ:  # it writes to standard output, what its exceptions say, too
        icechunk.set_logs_filter("off")
    return icechunk


def storage(path: str) -> icechunk.Storage:
    """Where a repository lies; credentials are those that were given for it, else those of the environment."""
    library = icechunk_library()
    found: icechunk.Storage
    if "://" not in path:
        found = library.local_filesystem_storage(os.path.abspath(path))  # noqa: PTH100 - no links followed
        return found
    url = stores.ObjectUrl.parse(path)
    make, given = getattr(library, f"{_STORAGES[url.scheme]}_storage"), stores.given_options(url)
    service = stores.option(given, "endpoint", "endpoint_url") or stores.endpoint(url.scheme)
    found = make(prefix=url.key, **_SETTINGS[url.scheme](url.bucket, service, given))
    return found


def _s3_settings(bucket: str, service: str | None, given: stores.Options) -> dict[str, object]:
    skips = stores.option(given, "skip_signature") or os.environ.get("AWS_SKIP_SIGNATURE", "")
    region = stores.option(given, "region", "default_region") or os.environ.get("AWS_REGION")
    settings: dict[str, object] = {
        "bucket": bucket,
        "region": region or os.environ.get("AWS_DEFAULT_REGION") or None,
        "endpoint_url": service,
        "allow_http": (service or "").startswith("http://"),
        "force_path_style": service is not None,
    }
    if skips.lower() in ("1", "true"):
        return settings | {"anonymous": True}
    names = {"access_key_id": "", "secret_access_key": "", "session_token": "token"}
    return settings | _credentials(given, names)


def _gs_settings(bucket: str, _service: str | None, given: stores.Options) -> dict[str, object]:
    names = {
        "service_account_file": "service_account",
        "service_account_key": "",
        "application_credentials": "",
        "bearer_token": "",
    }
    return {"bucket": bucket, **_credentials(given, names)}


def _az_settings(bucket: str, service: str | None, given: stores.Options) -> dict[str, object]:
    account = stores.option(given, "account_name", "storage_account_name")
    account = account or os.environ.get("AZURE_STORAGE_ACCOUNT_NAME", "")
    own = {"config": {"azure_storage_endpoint": service}} if service else {}
    names = {"access_key": "account_key", "sas_token": "sas_key", "bearer_token": "token"}
    return {"account": account, "container": bucket, **_credentials(given, names), **own}


def _credentials(given: stores.Options, names: Mapping[str, str]) -> dict[str, object]:
    """Credentials by the library's names, given those of obstore beside them; else those of the environment."""
    found = {name: stores.option(given, name, *filter(None, (other,))) for name, other in names.items()}
    known: dict[str, object] = {name: value for name, value in found.items() if value is not None}
    return known or {"from_env": True}


_STORAGES: Final = {"s3": "s3", "gs": "gcs", "az": "azure"}
_SETTINGS: Final = {"s3": _s3_settings, "gs": _gs_settings, "az": _az_settings}


def repository(path: str, *, create: bool = False) -> icechunk.Repository | None:
    """The repository at a path or URL; ``None`` where there is none.

    Parameters
    ----------
    path
        The place.
    create
        Whether one is made where there is none.
    """
    library = icechunk_library()
    found: icechunk.Repository | None = None
    if _is_there(path):
        found = library.Repository.open(storage(path), config=_config(library))
    elif create:
        # Readable by the versions of the library for every Python that is supported.
        former = {} if library.__version__.startswith("1.") else {"spec_version": 1}
        found = library.Repository.create(storage(path), config=_config(library), **former)
    return found


def _is_there(path: str) -> bool:
    """Whether a repository is there; Icechunk's own look makes a local folder, and waits long for a lost server."""
    if "://" not in path:
        return any(os.path.exists(os.path.join(path, name)) for name in _MARKS)  # noqa: PTH110, PTH118 - a text
    url = stores.ObjectUrl.parse(path)
    found = stores.object_store(url).list_with_delimiter(f"{url.key}/")
    below = {name.rpartition("/")[2] for name in (*found["common_prefixes"], *(o["path"] for o in found["objects"]))}
    return bool(below & set(_MARKS))


def _config(library: Any) -> icechunk.RepositoryConfig:  # noqa: ANN401 - a module
    retries = library.StorageRetriesSettings(
        max_tries=stores.TRIES,
        initial_backoff_ms=int(stores.FIRST_PAUSE_S * 1000),
        max_backoff_ms=int(stores.LONGEST_PAUSE_S * 1000),
    )
    config: icechunk.RepositoryConfig = library.RepositoryConfig(storage=library.StorageSettings(retries=retries))
    return config
