"""``curator demo mesh`` from a newcomer's seat: what is solved, refused, checked and drawn."""

import numpy as np
import pytest

pytest.importorskip("pyvista")

import pyarrow.parquet as pq

from curator_core import gather_pipeline, open_dataset, run_pipeline
from curator_core.domains.mesh.geometry.sizes import cell_sizes
from curator_dagster import mesh_demo_definitions as definitions
from curator_dagster.cli.demo.heat import COLD, HOT, Pipe, solved, write_case

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("demo")]

ROUND = Pipe(3, 0.0, 0.0, 0.2, 0.4, 1.0, 20.0, 50.0)


def test_a_round_pipe_has_the_temperatures_of_the_formula():
    """Along the radius they follow a logarithm; what comes in through the inside goes out."""
    part = solved(ROUND)
    radius = np.hypot(part.points[:, 0], part.points[:, 1])
    slope = (COLD - HOT) * 50.0 / (20.0 / 0.4 + 50.0 * np.log(2.0))
    np.testing.assert_allclose(part.point_data["temperature"], HOT + slope * np.log(radius / 0.2), atol=0.6)
    sizes = cell_sizes(part).values
    assert sizes.min() > 0
    assert sizes.sum() == pytest.approx(np.pi * (0.4**2 - 0.2**2), rel=0.01)


def test_the_dataset_has_the_surfaces_of_the_files(tmp_path, monkeypatch):
    """Weighted statistics are those of the surfaces; what is in millimetres is refused."""
    monkeypatch.chdir(tmp_path)
    folder = definitions.pipes_directory() / "input"
    write_case(ROUND, folder / "a.vtu")
    write_case(ROUND, folder / "b.vtu", unit=1e-3)
    run_pipeline(definitions.pipes_pipeline(), on_error="skip", progress=False)
    gather_pipeline(definitions.pipes_pipeline(), max_missing=1)
    dataset = open_dataset(definitions.pipes_dataset())
    assert dataset.keys == ["a.vtu"]
    part = dataset[0].parts["interior"]
    source = solved(ROUND)
    np.testing.assert_array_equal(part.points, source.points[part.point_data["original_point"]])
    temperatures = source.point_data["temperature"][part.point_data["original_point"]]
    np.testing.assert_array_equal(part.point_data["temperature"], temperatures)
    table = pq.read_table(definitions.pipes_directory() / "output" / "statistics.parquet").to_pylist()
    rows = {row["field"]: row for row in table}
    assert rows["temperature"]["weight"] == pytest.approx(part.cell_data["Area"].sum())
    assert rows["temperature"]["min"] == temperatures.min()


@pytest.mark.campaign
@pytest.mark.timeout(900)  # a busy machine takes several times as long
def test_the_demo_shows_what_is_curated_and_refused(tmp_path, demo_command, run_shown):
    """Exit status 0; the file that arrives again is processed alone; a second run has nothing to do."""
    words = ("mesh", "--cases", "43")
    done = demo_command(*words)
    shown = " ".join(done.stdout.split())
    for expected in (
        "case-042.vtu arrives again, whole.",
        "Refreshing through Dagster: 41 up to date, 1 failed, 1 changed",
        "42 of 43 curated",
        "case-017.vtu: ComponentError: mesh_checks: value 0: extent:",
        "about a thousand times too large: mm taken for m?",
        "curator versions list demo/mesh/output/pipes.zarr",
    ):
        assert expected in shown, shown
    page = (tmp_path / "demo" / "mesh" / "pipes.html").read_text()
    assert page.count("data:image/png;base64,") == 1
    run_shown(done)
    again = demo_command(*words)
    assert again.stdout.count("Everything is up to date") == 1
