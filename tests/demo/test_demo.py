"""``curator demo`` from a newcomer's seat: the dataset is exact, and stays so whatever happens to the input."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from ase.db import connect

from curator_core.domains.atoms import AtomicDataset
from curator_core.domains.atoms.g2 import write_g2_emt

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("demo")]
CAMPAIGN = pytest.mark.campaign


def read_input(demo):
    """Every structure of the input, as ASE reads it."""
    for path in sorted(demo.input.rglob("*.aselmdb")):
        database = connect(path, type="aselmdb", readonly=True, use_lock_file=False)
        try:
            for row in database.select():
                yield row.toatoms(add_additional_information=True)
        finally:
            database.close()


def test_every_structure_of_the_dataset_equals_ases_own_reading(finished_demo):
    """Numbers, positions, cell, energy, forces and key-value pairs, bit for bit and in order."""
    expected = list(read_input(finished_demo))
    dataset = AtomicDataset(finished_demo.output / "molecules.zarr")
    assert len(dataset) == len(expected) == 162
    for ours, theirs in zip(dataset, expected, strict=True):
        assert ours == theirs
        assert (ours.positions == theirs.positions).all()
        assert ours.calc.results.keys() == theirs.calc.results.keys()
        for name, value in theirs.calc.results.items():
            assert np.array_equal(ours.calc.results[name], value)
        assert ours.info == theirs.info


def test_the_statistics_equal_numpys_over_all_structures(finished_demo):
    """Count, mean, variance, minimum and maximum to 1e-12, and the atoms per element."""
    import pyarrow.parquet as pq

    rows = pq.read_table(finished_demo.output / "statistics.parquet").to_pylist()
    fields = {row["field"]: row for row in rows if row["element"] is None}
    elements = {row["element"]: row["count"] for row in rows if row["element"] is not None}
    structures = list(read_input(finished_demo))
    for field, values in {
        "energy": [a.get_potential_energy() for a in structures],
        "forces": [a.get_forces().ravel() for a in structures],
        "positions": [a.positions.ravel() for a in structures],
    }.items():
        everything = np.concatenate([np.atleast_1d(v) for v in values])
        found = fields[field]
        assert found["count"] == everything.size
        scale = np.abs(everything).max()
        np.testing.assert_allclose(found["mean"], everything.mean(), rtol=1e-12, atol=1e-12 * scale)
        np.testing.assert_allclose(found["variance"], everything.var(), rtol=1e-12)
        assert (found["min"], found["max"]) == (everything.min(), everything.max())
    symbols = [symbol for a in structures for symbol in a.get_chemical_symbols()]
    assert elements == {symbol: symbols.count(symbol) for symbol in set(symbols)}


def test_the_result_on_screen_says_what_there_is_and_how_to_go_on(finished_demo):
    """Items, structures, atoms, seconds, three paths, two commands; and the Python line works."""
    shown = (finished_demo.folder / "stdout.txt").read_text()
    n_atoms = sum(len(a) for a in read_input(finished_demo))
    for expected in ("12 of 12", "162", f"{n_atoms:,}", "demo/output/molecules.zarr", "demo/metrics.db", "make ui"):
        assert expected in shown
    code = re.search(r'python -c "(.*)"', shown).group(1)
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=finished_demo.folder, capture_output=True, text=True
    )
    assert "Atoms(symbols=" in done.stdout, done.stderr


def test_a_second_demo_finds_everything_up_to_date(demo):
    """Nothing is processed, and no run is started in Dagster."""
    before, files = demo.completed_at(), demo.files()
    done = demo.run()
    assert done.returncode == 0
    assert "Everything is up to date: 12 files" in done.stdout
    assert demo.completed_at() == before
    assert demo.files() == files


@pytest.mark.parametrize("change", [pytest.param(name, marks=CAMPAIGN) for name in ("add", "change", "delete")])
def test_a_change_of_the_input_is_followed_alone_and_exactly(demo, tmp_path, change):
    """Only the file that changed is processed, and the outputs are those of a run from scratch."""
    before = demo.completed_at()
    victim = demo.input / "g2_emt_004.aselmdb"
    if change == "add":
        shutil.copy(victim, demo.input / "g2_emt_003b.aselmdb")
        touched = {"g2_emt_003b.aselmdb"}
    elif change == "change":
        (other,) = write_g2_emt(tmp_path / "other", n_files=1, n_variants=1)
        shutil.copy(other, detach(victim))
        touched = {victim.name}
    else:
        victim.unlink()
        touched = set()
    done = demo.run()
    assert done.returncode == 0, done.stdout
    after = demo.completed_at()
    assert {key for key in after if after[key] != before.get(key)} == touched
    assert set(after) == {path.name for path in demo.input.iterdir()}
    assert demo.files() == demo.from_scratch(tmp_path / "scratch").files()


def detach(path):
    """Give a linked file a content of its own."""
    copy = path.with_name("copy")
    shutil.copy(path, copy)
    copy.replace(path)
    return path


def make_truncated(path):
    path.write_bytes(path.read_bytes()[:20_000])


def make_foreign(path):
    path.write_bytes(b"this is no LMDB\n" * 1000)


def make_garbage_row(path):
    import lmdb

    with lmdb.open(str(path), subdir=False, map_size=2**30, lock=False) as env, env.begin(write=True) as transaction:
        transaction.put(b"7", b"garbage")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        pytest.param(make_truncated, "truncated", id="truncated", marks=CAMPAIGN),
        pytest.param(make_foreign, "g2_emt_002.aselmdb", id="no LMDB", marks=CAMPAIGN),
        pytest.param(make_garbage_row, "row", id="garbage row", marks=CAMPAIGN),
    ],
)
def test_a_bad_file_fails_by_name_and_the_last_good_dataset_stays(demo, damage, reason):
    """Its neighbours are curated, the exit status is 1; once it is mended, it alone is processed."""
    files, good = demo.files(), (demo.input / "g2_emt_002.aselmdb").read_bytes()
    damage(detach(demo.input / "g2_emt_002.aselmdb"))
    shutil.copy(demo.input / "g2_emt_005.aselmdb", demo.input / "neighbour.aselmdb")
    done = demo.run()
    assert done.returncode == 1
    assert re.search(rf"failed g2_emt_002.aselmdb: .*{reason}", done.stdout), done.stdout
    assert "neighbour.aselmdb" in demo.completed_at()
    assert demo.files() == files
    before = demo.completed_at()
    (demo.input / "g2_emt_002.aselmdb").write_bytes(good)
    assert demo.run().returncode == 0
    after = demo.completed_at()
    assert {key for key in after if after[key] != before.get(key)} == {"g2_emt_002.aselmdb"}
    assert len(AtomicDataset(demo.output / "molecules.zarr")) == len(list(read_input(demo))) > 162


def test_an_empty_input_folder_is_one_clear_line_and_nothing_is_created(finished_demo, tmp_path):
    """Exit status 2; neither a database nor a Dagster instance appears."""
    demo = type(finished_demo)(tmp_path)
    demo.input.mkdir(parents=True)
    done = demo.run()
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "demo/input" in done.stderr
    assert "*.aselmdb" in done.stderr
    assert {path.name for path in (tmp_path / "demo").iterdir()} <= {"input", ".lock"}


def test_an_output_that_cannot_be_written_is_an_error_before_any_item(demo):
    """Where a folder should be, there is a file: exit status 2 or 1 with its name, nothing recorded."""
    shutil.rmtree(demo.output)
    demo.output.write_text("in the way")
    before = demo.completed_at()
    done = demo.run()
    assert done.returncode == 2, done.stdout
    assert "demo/output" in done.stderr
    assert demo.completed_at() == before


@CAMPAIGN
def test_dagsters_command_line_does_the_same_on_an_empty_instance(finished_demo, tmp_path):
    """``dagster job execute -m curator_dagster.demo_definitions -j molecules_refresh``."""
    (tmp_path / "demo" / "home").mkdir(parents=True)
    shutil.copytree(finished_demo.input, tmp_path / "demo" / "input")
    command = [sys.executable, "-m", "dagster", "job", "execute"]
    done = subprocess.run(
        [*command, "-m", "curator_dagster.demo_definitions", "-j", "molecules_refresh"],
        cwd=tmp_path,
        env=finished_demo.environment | {"DAGSTER_HOME": str(tmp_path / "demo" / "home")},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert type(finished_demo)(tmp_path).files() == finished_demo.files()


@pytest.mark.campaign
def test_ctrl_c_can_be_resumed(finished_demo, tmp_path):
    """SIGINT to the terminal's process group in the middle; the next demo ends with the same dataset."""
    demo = type(finished_demo)(tmp_path)
    (tmp_path / "demo").mkdir()
    shutil.copytree(finished_demo.input, demo.input)
    running = subprocess.Popen(
        demo.command, cwd=demo.folder, env=demo.environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    journals = demo.folder / "demo" / "metrics.db.journals"
    while running.poll() is None and not (journals.exists() and list(journals.iterdir())):
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGINT)
    shown, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    assert re.search(r"Interrupted: \d+ of 12 files are done; run it again to go on", shown), shown
    assert demo.run().returncode == 0
    assert demo.files() == finished_demo.files()
    assert json.loads((demo.output / "molecules.zarr.manifest.json").read_text())["missing"] == {}
