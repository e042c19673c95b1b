"""What the pages tell their reader to do on SLURM works, on a real one."""

import importlib.util

import pytest

from tests.docs import pages

pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.xdist_group("slurm")]


@pytest.mark.campaign
@pytest.mark.timeout(900)  # a busy machine takes twice as long
@pytest.mark.parametrize("page", ["slurm.md", "laptop-to-cluster.md"])
def test_following_a_page_works(slurm, tmp_path, page):
    """Every command ends and prints as the page says."""
    pytest.importorskip("dagster")
    pytest.importorskip("datasketches")
    pages.Reader(tmp_path).follow(pages.ROOT / "docs" / "how-to" / page)


@pytest.mark.campaign
def test_following_the_section_on_dask_workers_works(slurm, tmp_path):
    """The code location of the page, on workers that are jobs."""
    if importlib.util.find_spec("dask_jobqueue") is None:
        pytest.skip("no dask_jobqueue")
    sections = ("On this machine", "On SLURM")
    pages.Reader(tmp_path).follow(pages.ROOT / "docs" / "how-to" / "dagster-dask.md", sections=sections)
