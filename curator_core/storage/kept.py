"""Former versions of a local output, kept in ``{name}.versions`` beside it: a publication moves the old one there.

A new folder and the former one change places in one step, where the system can exchange names: the new one is moved to
where the former one shall lie, and the exchange puts both where they belong. A note says meanwhile which is which, so
that what a kill leaves is put right by `recover_kept`; a version that is not certainly what its name says is never
found.
"""

from __future__ import annotations

import errno
import json
import operator
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import SupportsIndex

from curator_core.errors import ConfigError
from curator_core.storage import atomic
from curator_core.storage.atomic import (
    TEMPORARY_MARK,
    discard,
    give_other_name,
    publish_text,
    remove,
    sync,
    sync_all,
)

KEEP_VERSIONS = 2
"""Versions of a dataset that are kept unless another number is set, the newest counted."""
ENDING = ".versions"
"""What the name of the folder of former versions adds to the output's."""
_NOTE = "publishing.json"
_ID = re.compile(r"[0-9a-f]{64}")


def checked_keep_versions(given: object) -> int:
    """A number of versions that can be kept.

    Raises
    ------
    ConfigError
        It is no whole number of at least 1.
    """
    if isinstance(given, SupportsIndex) and not isinstance(given, bool) and operator.index(given) >= 1:
        return operator.index(given)
    raise ConfigError(f"keep_versions must be a whole number of at least 1, the newest counted, not {given!r}.")


def versions_folder(path: Path) -> Path:
    """Where the former versions of the output at a path lie: ``{name}.versions`` beside it."""
    return path.with_name(f"{path.name}{ENDING}")


def dataset_of(path: Path) -> Path:
    """The output of which a path is a former version; the path itself where it is none."""
    folder = path.parent
    return folder.with_name(folder.name.removesuffix(ENDING)) if folder.name.endswith(ENDING) else path


def is_former(path: str | os.PathLike[str]) -> bool:
    """Whether a path is that of a former version of an output."""
    return Path(path).parent.name.endswith(ENDING)


def former_version(path: Path) -> str:
    """The version that lies at a path, of a former one that is kept; empty where the path is none's."""
    return path.stem if is_former(path) and _ID.fullmatch(path.stem) else ""


def kept_path(path: Path, version: str) -> Path:
    """Where a former version of the output at a path lies, or would.

    A folder has the version's name, a file the output's suffix as well.
    """
    folder = versions_folder(path)
    return folder / version if not path.suffix or (folder / version).is_dir() else _place(path, version)


def _place(path: Path, version: str) -> Path:
    name = version if path.is_dir() else f"{version}{path.suffix}"
    return versions_folder(path) / name


def has_kept(path: Path, version: str) -> bool:
    """Whether a former version is there, whole."""
    return kept_path(path, version).exists() and version != _unsure(path)


def publish_keeping(staged: Path, target: Path, version: str) -> None:
    """Replace the output `target`, and keep the former one under the name of its version.

    Parameters
    ----------
    staged
        The new output, of the same kind.
    target
        The former one, which is there.
    version
        Name of the former one.
    """
    place = _place(target, version)
    place.parent.mkdir(exist_ok=True)
    sync_all(staged)
    if target.is_dir():
        _replace_folder(staged, target, place)
    else:
        give_other_name(target, place)
        staged.replace(target)
    sync(place.parent)
    sync(target.parent)


def _replace_folder(staged: Path, target: Path, place: Path) -> None:
    discard(place)  # the same version, from before it was published again
    note = place.parent / _NOTE
    publish_text(json.dumps({"version": place.name, "former": target.stat().st_ino}), note)
    try:
        staged.replace(place)
    except OSError as exc:
        if exc.errno != errno.EXDEV:
            raise
        note.unlink()
        _replace_across(staged, target, place)
        return
    if not atomic.exchange(place, target):
        place.replace(staged)  # one name after the other
        target.replace(place)
        staged.replace(target)
    note.unlink()


def _replace_across(staged: Path, target: Path, place: Path) -> None:
    """The former versions are on another disk: a copy is kept."""
    give_other_name(target, place)
    atomic.replace_directory(staged, target)


def recover_kept(target: Path) -> None:
    """Finish or undo a publication that was killed while the former output was moved."""
    note = versions_folder(target) / _NOTE
    if not note.exists():
        return
    said = _read(note)
    place = note.parent / str(said.get("version", ""))
    if not target.exists() and place.exists():
        place.replace(target)  # killed between two renames: the former one comes back
    elif place != note.parent and place.exists() and place.stat().st_ino != said.get("former"):
        remove(place)  # what was to be published, or one cannot say
    note.unlink()


def remove_kept_leftovers(target: Path) -> None:
    """Delete what killed processes left in the folder of former versions, and what describes versions that are gone."""
    remove_staged(target)
    folder = versions_folder(target)
    for path in folder.iterdir() if folder.is_dir() else ():
        version = path.name.partition(".")[0]
        if _ID.fullmatch(version) and not kept_path(target, version).exists():
            remove(path)


def remove_staged(target: Path) -> None:
    """Delete what killed processes were writing in the folder of former versions."""
    folder = versions_folder(target)
    for left in folder.glob(f".*{TEMPORARY_MARK}*") if folder.is_dir() else ():
        remove(left)


def find_moved(path: Path, is_same: Callable[[Path], bool]) -> Path | None:
    """Where a version that was read at a path lies now; ``None`` where it is gone.

    Parameters
    ----------
    path
        Where it was: the output itself, or one of its former versions.
    is_same
        Whether a place holds it.
    """
    targets = dict.fromkeys((path, dataset_of(path)))
    places = (place for target in targets for place in (target, *kept_places(target)))
    return next((place for place in places if is_same(place)), None)


def kept_places(target: Path) -> list[Path]:
    """Where former versions of an output lie."""
    folder, unsure = versions_folder(target), _unsure(target)
    if not folder.is_dir():
        return []
    return [place for place in sorted(folder.iterdir()) if _ID.fullmatch(place.stem) and place.name != unsure]


def _unsure(target: Path) -> str | None:
    """The version whose place holds what was to be published, while that goes on or after a kill."""
    said = _read(versions_folder(target) / _NOTE)
    version = said.get("version")
    if not isinstance(version, str):
        return None
    place = versions_folder(target) / version
    return version if place.exists() and place.stat().st_ino != said.get("former") else None


def _read(note: Path) -> dict[str, object]:
    try:
        said = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or half of one
        return {}
    return said if isinstance(said, dict) else {}
