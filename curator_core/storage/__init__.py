"""Where bytes live: atomic publication, locks, full disks, private files, what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from curator_core.moved import names_in

if TYPE_CHECKING:
    from curator_core.storage.atomic import publish_text as publish_text
    from curator_core.storage.base import OutputLocation as OutputLocation
    from curator_core.storage.disk import ADVICE as ADVICE
    from curator_core.storage.disk import append_whole as append_whole
    from curator_core.storage.disk import make_folder as make_folder
    from curator_core.storage.locations import location_of as location_of
    from curator_core.storage.locks import exclusive_lock as exclusive_lock
    from curator_core.storage.private import write_private as write_private

_HOME = {
    "publish_text": "curator_core.storage.atomic",
    "OutputLocation": "curator_core.storage.base",
    "ADVICE": "curator_core.storage.disk",
    "append_whole": "curator_core.storage.disk",
    "make_folder": "curator_core.storage.disk",
    "location_of": "curator_core.storage.locations",
    "exclusive_lock": "curator_core.storage.locks",
    "write_private": "curator_core.storage.private",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - derived, so that the two cannot differ
__getattr__ = names_in(__name__, _HOME)
