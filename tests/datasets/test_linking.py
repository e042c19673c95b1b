"""Publications where unchanged files cannot be linked: they are copied, and the bytes are the same."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import pytest

pytest.importorskip("ase")
pytest.importorskip("zarr")

from curator_core import run_pipeline
from tests.datasets.curation import DATA, build, from_scratch, write_listing
from tests.datasets.kinds import tree
from tests.run.killed import in_child

NOBODY = 65534
BEFORE, AFTER = [("a", 2), ("b", 4), ("c", 5)], [("a", 2), ("b", 9), ("c", 5)]


def are_links_refused():
    """Whether the kernel lets this test become somebody whom it refuses links to the files of others."""
    limit = Path("/proc/sys/fs/protected_hardlinks")
    return os.geteuid() == 0 and limit.exists() and limit.read_text().strip() == "1"


@pytest.mark.mounts  # may be skipped for the same reason
@pytest.mark.skipif(not are_links_refused(), reason="nobody is refused a link to a file here")
@pytest.mark.parametrize("kind", ["readings", "atoms"])
def test_a_dataset_whose_files_are_somebody_elses(kind):
    """A link to a file that one may only read is refused with EPERM, as by file systems that have none."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place, contextlib.chdir(place):
        write_listing(BEFORE)
        run_pipeline(build(kind), gather=True, progress=False)
        scratch = from_scratch(kind, 1, AFTER, Path("scratch"))
        files = [path for path in Path(DATA).rglob("*") if path.is_file()]
        for path in (Path(place), *Path(place).rglob("*")):
            if path not in files and path.relative_to(place) not in files:
                os.chown(path, NOBODY, NOBODY)
        write_listing(AFTER)

        def publish_as_another():
            os.seteuid(NOBODY)
            with pytest.raises(PermissionError):
                os.link(files[0], "link")
            run_pipeline(build(kind), gather=True, progress=False)

        assert in_child(publish_as_another) == 0, Path("refusals").read_text()
        assert tree(DATA) == scratch
        assert {path.stat().st_uid for path in Path(DATA).rglob("*")} == {NOBODY}
