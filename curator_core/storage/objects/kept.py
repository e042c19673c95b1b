"""Former versions in a repository: each is kept by a branch of its own, and freed when that is gone.

A branch can be made again under a name that was deleted, which a tag cannot.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from curator_core.errors import DatasetExpiredError
from curator_core.storage.objects.repository import icechunk_library
from curator_core.storage.objects.running import run
from curator_core.storage.objects.snapshots import BRANCH, kept_branch, kept_versions
from curator_core.storage.objects.upload import set_root

if TYPE_CHECKING:
    import icechunk


def keep(found: icechunk.Repository, version: str, snapshot: str) -> None:
    """Keep a snapshot as a former version, in place of another one of that version, if there is one."""
    branch = kept_branch(version)
    if version not in kept_versions(found):
        found.create_branch(branch, snapshot)
    elif found.lookup_branch(branch) != snapshot:
        found.reset_branch(branch, snapshot)


def expire(found: icechunk.Repository, version: str) -> None:
    """Keep a former version no longer; its objects are there until `free` is called."""
    try:
        found.delete_branch(kept_branch(version))
    except icechunk_library().IcechunkError:
        if version in kept_versions(found):
            raise


def restore(found: icechunk.Repository, version: str, tip: str, about: Mapping[str, Any]) -> bool:
    """Publish a former version again, which moves no bytes; ``False`` where another one was published meanwhile.

    Parameters
    ----------
    found
        The repository.
    version
        The version.
    tip
        The snapshot that it takes the place of.
    about
        What is said of the new snapshot.

    Raises
    ------
    DatasetExpiredError
        The version is not kept any more.
    """
    if version not in kept_versions(found):
        raise DatasetExpiredError(f"Version {version[:16]} is not kept any more: it expired.")
    session = found.writable_session(kept_branch(version))
    run(set_root(session.store))
    snapshot = session.flush("A former version, published again by curator", metadata=dict(about))
    try:
        found.reset_branch(BRANCH, snapshot, from_snapshot_id=tip)
    except icechunk_library().IcechunkError:  # of no kind of its own
        now = found.lookup_branch(BRANCH)
        if now == tip:
            raise
        return now == snapshot
    return True


def free(found: icechunk.Repository, before: datetime) -> None:
    """Delete what no version needs that is kept: neither the newest, nor one that has a branch or tag.

    Parameters
    ----------
    found
        The repository.
    before
        When the last object was written that may be deleted.
    """
    tips = {found.lookup_branch(name) for name in found.list_branches()}
    tips |= {found.lookup_tag(name) for name in found.list_tags()}
    for moment in sorted(found.lookup_snapshot(tip).written_at for tip in tips):
        found.expire_snapshots(moment)  # no snapshot leads to those before it, up to the moment, any more
    found.garbage_collect(before)
