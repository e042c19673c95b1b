"""What keeping the former version of a dataset adds to a publication, and what going back to it takes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.timing import Row, best_seconds
from curator_core.storage.local import LocalLocation

_IDS = ("0" * 64, "1" * 64)
_N_ROUNDS = 3
_MEMORY = "/dev/shm"  # noqa: S108 - a folder of its own is made there


def version_rows(n_files: int = 10_000) -> Iterator[Row]:
    """Time of a publication that keeps the former version over that of one that deletes it, and of going back.

    Parameters
    ----------
    n_files
        Small files of the dataset, all of which are new.
    """
    with tempfile.TemporaryDirectory(dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None) as folder:
        kept, deleted = (LocalLocation(Path(folder, name, "data.zarr")) for name in ("kept", "deleted"))
        for location in (kept, deleted):
            with location.publication() as staged:
                _write(staged, n_files)

        def publish() -> None:
            _publish(kept, n_files)
            for version in kept.kept_versions()[:-1]:
                kept.expire_version(version)

        def replace() -> None:
            with deleted.publication() as staged:
                _write(staged, n_files)

        def restore() -> None:
            (version,) = kept.kept_versions()
            with kept.publication(version=version, former=_other(version)) as staged:
                kept.copy_version(kept.kept_version(version), staged)
            kept.expire_version(version)

        best = best_seconds({"publish": publish, "replace": replace}, _N_ROUNDS)
        ratio = best["publish"] / best["replace"]
        what = f"publication of {n_files:,} files that keeps the former version"
        yield Row(f"{what}, over one that deletes it", f"{ratio:.2f} ×")
        back = best_seconds({"restore": restore}, _N_ROUNDS)["restore"]
        yield Row(f"restoring a version of {n_files:,} files", f"{back:.2f} s")


def _publish(location: LocalLocation, n_files: int) -> None:
    former = next((version for version in _IDS if version not in location.kept_versions()), _IDS[0])
    with location.publication(version=_other(former), former=former) as staged:
        _write(staged, n_files)


def _other(version: str) -> str:
    return _IDS[1 - _IDS.index(version)]


def _write(folder: Path, n_files: int) -> None:
    folder.mkdir()
    for number in range(n_files):
        (folder / f"{number}").write_bytes(b"x" * 1000)
