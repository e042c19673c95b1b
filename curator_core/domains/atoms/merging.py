"""Publishing a dataset over one of the former version, too, whose items are stored anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from curator_core.datasets.layout import RaggedFormat
from curator_core.datasets.parts import PART_SUFFIX, write_part
from curator_core.datasets.publishing import publish_ragged
from curator_core.domains.atoms.dataset_reader import DatasetReader
from curator_core.domains.atoms.layout import FORMER_VERSION
from curator_core.domains.atoms.ragged import rows_of
from curator_core.errors import ComponentError, MergeError
from curator_core.pipeline.components import MergeItem
from curator_core.storage.atomic import remove
from curator_core.storage.objects.mirror import readable_folder


def merge_dataset(ragged: RaggedFormat, items: Sequence[MergeItem], previous: str | None, path: Path) -> None:
    """Write the dataset of some items, in their order, to a new folder.

    Parameters
    ----------
    ragged
        How it is written.
    items
        The items; those without a part are taken from `previous`.
    previous
        The dataset before, if any.
    path
        Folder to create.

    Raises
    ------
    MergeError
        A part, or an item of the previous dataset, is missing or damaged.
    """
    try:
        former = None if previous is None else _former(previous)
    except ComponentError as exc:
        raise MergeError(f"The dataset {previous} cannot be used: {exc}") from exc
    if former is None:
        publish_ragged(ragged, items, previous, path)
        return
    folder = path.with_name(f"{path.name}-parts")  # a leftover like the staged dataset itself, should this be killed
    folder.mkdir()
    try:
        publish_ragged(ragged, _as_parts(ragged, items, former, folder), None, path)
    except ComponentError as exc:
        raise MergeError(f"The dataset {previous} cannot be used: {exc}") from exc
    finally:
        remove(folder)


def _former(previous: str) -> DatasetReader | None:
    """A dataset of the former version; ``None`` where it is of the present one."""
    reader = DatasetReader(readable_folder(previous))
    return reader if reader.version == FORMER_VERSION else None


def _as_parts(ragged: RaggedFormat, items: Sequence[MergeItem], former: DatasetReader, folder: Path) -> list[MergeItem]:
    """The items, those of a former dataset with a part as well."""
    held = {(item.key, item.version): item for item in former.items()}
    found = []
    for number, item in enumerate(items):
        before = held.get((item.key, item.version))
        if item.shard is None and before is not None:
            part = folder / f"{number}{PART_SUFFIX}"
            write_part(part, ragged, *rows_of(former.item_table(before)))
            found.append(replace(item, shard=part))
        else:
            found.append(item)
    return found
