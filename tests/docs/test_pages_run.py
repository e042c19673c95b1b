"""What the documentation tells its reader to do works."""

from __future__ import annotations

import importlib
import importlib.util
import sys

import pytest

from curator_core import Pipeline, gather_pipeline, run_pipeline
from curator_core.testing import BackendContract, registered
from tests.docs import pages

DAGSTER = [f"dagster-{name}" for name in ("checks", "automation", "component", "dask", "workflow", "translator")]
DAGSTER += ["dagster-settings"]
DAGSTER += ["dagster-resources", "dagster-dev-prod", "dagster-retention"]
HOW_TO = [
    "source",
    "filter",
    "sink",
    "add-a-domain",
    "location",
    "read-from-object-storage",
    "statistics",
    "filter-values",
    "read-grids",
    "write-grids",
    "mesh-filters",
    "transform-grids",
    "write-meshes",
    "tables",
    "atoms",
    "meshes",
    "forecasts",
    "splits",
    "versions",
    "describe-a-dataset",
    "report",
    "write-a-backend",
    "listen-to-a-run",
]
HOW_TO += DAGSTER
TUTORIALS = [f"docs/{name}.md" for name in ("tutorial", "tutorial-dagster", "tutorial-grid")]
FOLLOWED = ["README.md", *TUTORIALS, *(f"docs/how-to/{name}.md" for name in HOW_TO)]
FOLLOWED += [
    "docs/reference/workflow.md",
    "docs/reference/datasets.md",
    "docs/how-to/from-f3dasm.md",
    "docs/how-to/from-physicsnemo-curator.md",
]


SHORT = ["README.md", "docs/tutorial.md"]
"""What a newcomer reads first is followed by ``make test``, the rest with the campaigns."""

NEEDED = {
    "docs/tutorial-grid.md": ["eccodes", "datasketches", "matplotlib", "torch"],
    "docs/how-to/meshes.md": ["pyvista"],
    "docs/how-to/read-grids.md": ["netCDF4"],
    "docs/how-to/write-grids.md": ["netCDF4", "torch"],
    "docs/how-to/mesh-filters.md": ["pyvista", "pyarrow"],
    "docs/how-to/transform-grids.md": ["netCDF4"],
    "docs/how-to/forecasts.md": ["eccodes"],
    "docs/how-to/write-meshes.md": ["pyvista", "torch"],
    "docs/how-to/dagster-dask.md": ["distributed"],
    "docs/how-to/add-a-domain.md": ["zarr"],
    "docs/how-to/atoms.md": ["ase_db_backends"],
}
"""Libraries of one page."""


@pytest.mark.timeout(900)  # a busy machine takes twice as long
@pytest.mark.parametrize(
    "page", [page if page in SHORT else pytest.param(page, marks=pytest.mark.campaign) for page in FOLLOWED]
)
def test_following_a_page_works(page, tmp_path):
    """Every Python block runs, every command ends and prints as the page says, in the page's order."""
    if page.endswith("dagster-component.md"):
        pytest.importorskip("dagster_dg_cli")
    if page in ("README.md", "docs/tutorial.md", "docs/how-to/dagster-component.md"):
        pytest.importorskip("dagster")
        pytest.importorskip("ase_db_backends")
    if "/dagster-" in page or page.endswith("tutorial-dagster.md"):
        pytest.importorskip("dagster")
    if page.endswith("tutorial-dagster.md"):
        pytest.importorskip("pandas")
    if page.endswith(("statistics.md", "dagster-checks.md", "tutorial-dagster.md")):
        pytest.importorskip("datasketches")
    if page.endswith(("reference/workflow.md", "dagster-workflow.md", "from-f3dasm.md")):
        pytest.importorskip("pandas")
        pytest.importorskip("scipy")
    for library in NEEDED.get(page, ()):
        pytest.importorskip(library)
    on_slurm = "On SLURM"  # followed with one, in tests/slurm
    found = {block.section for block in pages.blocks(pages.ROOT / page)}
    pages.Reader(tmp_path).follow(pages.ROOT / page, sections=tuple(found - {on_slurm}))


@pytest.mark.campaign
@pytest.mark.xdist_group("objects")
def test_a_page_is_followed_with_a_bucket(object_store_server, tmp_path, monkeypatch):
    """What it publishes is there, for others too."""
    pytest.importorskip("icechunk")
    pytest.importorskip("ase_db_backends")
    for name, value in object_store_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CURATOR_WORK_DIR", str(tmp_path / "work"))
    pages.Reader(tmp_path).follow(pages.ROOT / "docs/how-to/publish-to-object-storage.md")


def test_the_backend_of_a_page_keeps_its_contract(tmp_path, monkeypatch):
    """It replaces workers that die; the rest of the contract is the page's own test."""
    page = pages.ROOT / "docs/how-to/write-a-backend.md"
    (text,) = [block.text for block in pages.blocks(page) if block.title == "piped.py"]
    (tmp_path / "piped.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    class Contract(BackendContract):
        backend = "piped"
        survives_its_workers = True

    with registered():
        importlib.import_module("piped")
        Contract().test_replaces_a_dead_worker(tmp_path)


def test_a_domain_takes_less_than_150_lines():
    """Its components, their registration and their tests together."""
    parts = {block.title: block.text for block in pages.blocks(pages.ROOT / "docs/how-to/add-a-domain.md")}
    lines = [
        line for name in ("readings.py", "pyproject.toml", "test_readings.py") for line in parts[name].splitlines()
    ]
    assert len(lines) < 150


HAS_TORCH = sys.version_info[:2] == (3, 11) or importlib.util.find_spec("torch") is not None
"""Whether PyTorch is, or should be, installed: for other versions of Python there is no build without CUDA."""


TRAINING = pytest.param("train-on-a-dataset", marks=pytest.mark.campaign)


@pytest.mark.parametrize("name", ["demo", *([TRAINING] if HAS_TORCH else [])])
def test_the_demos_dataset_is_used_as_a_page_says(name, tmp_path, monkeypatch):
    """The Python blocks of the page run on a dataset like the demo's; a model that is trained on it learns."""
    pytest.importorskip("ase_db_backends")
    if name == "train-on-a-dataset":
        pytest.importorskip("torch")
    from curator_core.domains.atoms import ASELMDBSource, AtomicDataZarrSink, AtomicStatsFilter, write_g2_emt

    monkeypatch.chdir(tmp_path)
    write_g2_emt("demo/input", n_files=2, n_variants=2)
    filters = [AtomicStatsFilter("demo/output/statistics.parquet")]
    sink = AtomicDataZarrSink("demo/output/molecules.zarr")
    pipeline = Pipeline(ASELMDBSource("demo/input"), filters, sink, db_file="demo/metrics.db")
    run_pipeline(pipeline, progress=False)
    gather_pipeline(pipeline)
    pages.Reader(tmp_path).follow(pages.ROOT / f"docs/how-to/{name}.md", languages=("python",))


def test_shown_output_is_compared_line_by_line():
    """Dots stand for anything, everything else must be there."""
    printed = "one\ntwo 2\nthree\n"
    assert pages.matches(["one", "...", "three"], printed)
    assert pages.matches(["one", "two ...", "three"], printed)
    assert not pages.matches(["one", "three"], printed)
    assert not pages.matches(["one", "two 3", "three"], printed)
