"""Reading files of ASE's formats: as ASE reads them where they are whole, and not where they are not."""

from __future__ import annotations

import gc
import gzip
import pickle
import sqlite3
import warnings
from contextlib import closing
from typing import Any

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from ase.io.formats import get_ioformat

from curator_core import Pipeline, open_dataset, run_pipeline
from curator_core.domains.atoms import AtomicDataset, AtomicDataZarrSink
from curator_core.domains.atoms.ase_files.endings import require_whole
from curator_core.domains.atoms.ase_files.framing import CutOffError
from curator_core.domains.atoms.ase_files.source import ASEFileSource
from curator_core.errors import ComponentError, ConfigError
from curator_core.testing import SourceContract


@pytest.fixture
def _nothing_left_open():
    """ASE leaves its databases to the garbage collector, which Python 3.13 warns of in whatever test comes next."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def frames(number=5):
    found = []
    for step in range(number):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=step)
        random = np.random.default_rng(step)
        atoms.calc = SinglePointCalculator(
            atoms, energy=-1.5 * step, forces=random.normal(size=(4, 3)), stress=random.normal(size=6)
        )
        atoms.info["step"] = step
        found.append(atoms)
    return found


FORMATS = {
    "extxyz": "a.xyz",
    "xyz": "a.xyz",
    "traj": "a.traj",
    "cif": "a.cif",
    "vasp": "POSCAR",
    "vasp-xdatcar": "XDATCAR",
    "proteindatabank": "a.pdb",
    "castep-md": "a.md",
    "eon": "a.con",
    "dmol-arc": "a.arc",
    "xsf": "a.xsf",
    "db": "a.db",
    "json": "a.json",
}
"""Formats that ASE writes, and names by which it knows them."""
OF_ONE = ("vasp",)


def written(path, file_format, structures=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    structures = structures or frames(1 if file_format in OF_ONE else 5)
    ase.io.write(path, structures[0] if file_format in OF_ONE else structures, format=file_format)
    return path


def lammps_dump(path, n_frames=3):
    text = ""
    for step in range(n_frames):
        rows = "".join(f"{i + 1} 1 {step}.5 {i}.25 0.5\n" for i in range(3))
        text += f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n3\nITEM: BOX BOUNDS pp pp pp\n0 4\n0 4\n0 4\n"
        text += f"ITEM: ATOMS id type x y z\n{rows}"
    path.write_text(text)
    return path


@pytest.fixture
def read_by_ase(assert_same_atoms):
    """Whether structures are those of ASE; of databases, with what else their rows have."""

    def check(found, path, file_format):
        expected: Any
        if file_format in ("db", "json"):
            rows = connect(path, type=file_format).select()
            expected = [row.toatoms(add_additional_information=True) for row in rows]
        else:
            expected = ase.io.read(path, ":", format=file_format)
        for atoms in expected:
            for values in (atoms.info, atoms.calc.results if atoms.calc else {}):
                values |= {key: value.item() for key, value in values.items() if isinstance(value, np.generic)}
            if file_format == "cif":
                atoms.info["spacegroup"] = atoms.info["spacegroup"].todict()
                atoms.info["occupancy"] = {int(key): value for key, value in atoms.info["occupancy"].items()}
        assert len(found) == len(expected)
        for left, right in zip(found, expected, strict=True):
            assert_same_atoms(left, right)

    return check


class TestASEFileSource(SourceContract):
    frames_per_index: int | None = None

    def make_source(self, tmp_path):
        for name in ("0.xyz", "1.traj"):
            if not (tmp_path / name).exists():
                ase.io.write(tmp_path / name, frames(3))
        return ASEFileSource(str(tmp_path), frames_per_index=self.frames_per_index)


class TestASEFileSourceInBlocks(TestASEFileSource):
    frames_per_index = 2


@pytest.mark.usefixtures("_nothing_left_open")
@pytest.mark.parametrize("file_format", FORMATS)
def test_structures_equal_ases_reading(file_format, tmp_path, read_by_ase):
    """Whole, packed, and in blocks of two, which are read by themselves."""
    path = written(tmp_path / "in" / FORMATS[file_format], file_format)
    given = None if file_format != "xyz" else "xyz"  # which ASE takes for extended
    read_by_ase(list(ASEFileSource(str(path.parent), format=given)[0]), path, file_format)
    blocks = ASEFileSource(str(path.parent), format=given, frames_per_index=2)
    read_by_ase([atoms for i in range(len(blocks)) for atoms in blocks[i]], path, file_format)
    ends = [""] if file_format in OF_ONE else ["#000000-000001", "#000002-000003", "#000004-000005"]
    assert [blocks.key(i) for i in range(len(blocks))] == [path.name + end for end in ends]
    if file_format in ("extxyz", "traj", "cif", "vasp"):
        packed = tmp_path / "packed" / f"{path.name}.gz"
        packed.parent.mkdir()
        packed.write_bytes(gzip.compress(path.read_bytes()))
        read_by_ase(list(ASEFileSource(str(packed.parent), format=given)[0]), path, file_format)


UNCOUNTED = ("aims", "cif", "dlp4", "dmol-arc", "eon", "gromos", "proteindatabank", "sys", "v-sim")
"""Formats that say neither how many structures or atoms they have, nor where they end."""
OTHERS = (
    *("abinit-in", "aims", "castep-geom", "cfg", "crystal", "cube", "dlp4", "gen", "gpumd", "gromacs", "gromos", "mol"),
    *(
        "lammps-data",
        "magres",
        "res",
        "rmc6f",
        "runnerdata",
        "sdf",
        "struct",
        "sys",
        "turbomole",
        "v-sim",
        "xsd",
        "xtd",
    ),
)
"""More formats of text that ASE writes."""


def read_cut(path, file_format, positions):
    """What is read of a file that is cut off at some bytes, nothing where it fails; and of the whole."""
    content, options = path.read_bytes(), {"style": "atomic"} if file_format == "lammps-data" else None

    def found(**arguments):
        try:
            return list(ASEFileSource(str(path.parent), path.name, file_format, options=options, **arguments)[0])
        except ComponentError:
            return None

    whole = found(last_line="any")
    assert whole, file_format
    for position in positions(content):
        path.write_bytes(content[:position])
        yield found(), whole, f"{file_format} of {position} bytes"


def within_last_line(content):
    body = content.rstrip()
    return range(max(body.rfind(b"\n") + 1, len(body) - 5), len(body) + 1, 3)


def texts(folder):
    """Files of every format of text, written by ASE."""
    for file_format in (*FORMATS, *OTHERS):
        if file_format not in ("db", "json", "traj"):
            path = folder / file_format / FORMATS.get(file_format, "a")
            path.parent.mkdir()
            is_single = file_format in OF_ONE or get_ioformat(file_format).single
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of writers that will be called differently
                ase.io.write(path, frames(3)[0] if is_single else frames(3), format=file_format)
            yield path, file_format


@pytest.mark.filterwarnings("ignore")
def test_a_last_number_that_may_be_cut_off_is_not_taken(tmp_path):
    """Wherever the last line is cut: 0.25 may have been 0.251. What comes after the structures may end anyhow."""
    for path, file_format in texts(tmp_path):
        for found, whole, where in read_cut(path, file_format, within_last_line):
            assert found is None or found == whole, where


@pytest.mark.campaign
@pytest.mark.filterwarnings("ignore")
def test_structures_of_cut_files_are_those_of_whole_ones(tmp_path):
    """Wherever they are cut, they fail, or give whole structures; but between two lines of some formats."""

    def anywhere(content):
        chosen = np.random.default_rng(len(content)).integers(len(content) // 20, len(content), 60).tolist()
        chosen += [position for position, found in enumerate(content, 1) if found == ord("\n")][-12:]
        return [n for n in chosen if file_format not in UNCOUNTED or content[:n].rstrip(b" ")[-1:] != b"\n"]

    for path, file_format in texts(tmp_path):
        for found, whole, where in read_cut(path, file_format, anywhere):
            assert found is None or found == whole[: len(found)], where


def test_a_last_line_without_end_is_whole_where_it_shows_that(tmp_path):
    """Or where somebody says so."""
    path = tmp_path / "water.xyz"
    path.write_text("3\n\nO 0 0 0.119\nH 0 0.763 -0.477\nH 0 -0.763 -0.47")
    with pytest.raises(ComponentError, match=r"'-0.47' may be cut off; where it is whole, .* say last_line='any'"):
        list(ASEFileSource(str(tmp_path))[0])
    (found,) = ASEFileSource(str(tmp_path), last_line="any")[0]
    assert found.positions[2, 2] == -0.47
    fixed = "3\n\nO 0.00000 0.00000 0.11926\nH 0.00000 0.76323 -0.47704\nH 0.00000 -0.76323 -0.47704"
    for odd in ("0", "0.", "0.0000"):
        path.write_text(fixed.replace("0.00000", odd, 1))
        with pytest.raises(ComponentError, match="may be cut off"):
            list(ASEFileSource(str(tmp_path))[0])
    path.write_text(fixed)
    assert len(list(ASEFileSource(str(tmp_path))[0])) == 1
    poscar = written(tmp_path / "vasp" / "POSCAR", "vasp")
    lines = poscar.read_text().rstrip().splitlines()
    poscar.write_text("\n".join([*lines[:5], "Cu Ag O", "1 1 2", *lines[7:]]))
    assert len(list(ASEFileSource(str(poscar.parent))[0])) == 1
    cif = written(tmp_path / "cif" / "a.cif", "cif", frames(1))
    text = cif.read_text().rstrip()
    for end in (f"{text[:-6]}0.5(2)", f"{text}\n#END", f"{text}\n_symmetry_Int_Tables_name 'P 1'"):
        cif.write_text(end)
        assert len(list(ASEFileSource(str(cif.parent))[0])) == 1


@pytest.mark.usefixtures("_nothing_left_open")
@pytest.mark.parametrize("file_format", sorted(set(FORMATS) - set(OF_ONE)))
def test_a_file_that_is_cut_off_fails(file_format, tmp_path):
    """Wherever it is cut within its last structure: ASE stops before that, or leaves out its atoms."""
    path = written(tmp_path / FORMATS[file_format], file_format, frames(3))
    content = path.read_bytes()
    expected = list(ASEFileSource(str(tmp_path), format=file_format)[0])
    cut = np.linspace(len(content) * 7 // 8, len(content) - 2, 3).astype(int)
    for n_bytes in [n for n in cut if file_format not in UNCOUNTED or content[n - 1] != ord("\n")]:
        path.write_bytes(content[:n_bytes])
        try:
            found = list(ASEFileSource(str(tmp_path), format=file_format)[0])
        except ComponentError:
            continue
        assert found == expected


def test_the_structures_before_are_kept_where_that_is_wanted(tmp_path, caplog, read_by_ase):
    """With a warning that says how many; in blocks, too."""
    whole, path = written(tmp_path / "whole.xyz", "extxyz", frames(3)), tmp_path / "in" / "cut.xyz"
    path.parent.mkdir()
    path.write_bytes(written(tmp_path / "five.xyz", "extxyz", frames(4)).read_bytes()[:-40])
    read_by_ase(list(ASEFileSource(str(path.parent), unfinished="keep")[0]), whole, "extxyz")
    assert "cut.xyz: 3 structures are kept of it: its last line has no end, so" in caplog.text
    (last,) = ASEFileSource(str(path.parent), unfinished="keep", index=-1)[0]
    assert last.info["step"] == 2
    with pytest.raises(ComponentError, match="no end"):
        list(ASEFileSource(str(path.parent), index=0)[0])
    blocks = ASEFileSource(str(path.parent), frames_per_index=2)
    assert len(list(blocks[0])) == 2
    with pytest.raises(
        ComponentError, match=r"after 1 structures: its last line has no end.* kept with unfinished='keep'"
    ):
        list(blocks[1])


def test_lammps_dumps_are_read_by_frames(tmp_path, read_by_ase):
    """A frame without some of its atoms fails, wherever it stands; ASE gives the others."""
    path = lammps_dump(tmp_path / "in.dump")
    source = ASEFileSource(str(tmp_path), frames_per_index=2)
    read_by_ase([atoms for i in range(2) for atoms in source[i]], path, "lammps-dump-text")
    lines = path.read_text().splitlines(keepends=True)
    for removed, message in ((-1, "ends within a structure, with 2 of 3"), (11, "fewer atoms than the 3")):
        path.write_text("".join(line for i, line in enumerate(lines) if i != removed % len(lines)))
        with pytest.raises(ComponentError, match=message):
            list(ASEFileSource(str(tmp_path))[0])


def test_frames_after_a_blank_line_are_read(tmp_path):
    """ASE stops there."""
    path = written(tmp_path / "a.xyz", "extxyz", frames(2))
    path.write_text(path.read_text() + "\n\n" + path.read_text() + "\n")
    assert len(ase.io.read(path, ":")) == 2
    assert [atoms.info["step"] for atoms in ASEFileSource(str(tmp_path))[0]] == [0, 1, 0, 1]


def test_a_trajectory_whose_writer_was_killed_fails(tmp_path):
    """Its table does not have the frame that was begun; a table that has grown is no rest."""
    path = written(tmp_path / "a.traj", "traj", frames(2) * 25)
    assert len(list(ASEFileSource(str(tmp_path))[0])) == 50
    with path.open("ab") as file:
        file.write(b"\0" * 96)
    with pytest.raises(ComponentError, match="after 50 structures: 96 bytes of an unfinished structure"):
        list(ASEFileSource(str(tmp_path))[0])


def test_a_single_block_and_odd_names_are_read(tmp_path):
    """Of a format that its suffix says, and with signs that mean something to ASE and to keys."""
    for name in ("a#1.cif", "b@0.xyz"):
        ase.io.write(tmp_path / name.replace("@", "_"), frames(2))
        (tmp_path / name.replace("@", "_")).rename(tmp_path / name)
    for size in (None, 9):
        source = ASEFileSource(str(tmp_path), frames_per_index=size)
        assert [len(list(source[i])) for i in range(2)] == [2, 2]


def test_index_chooses_structures(tmp_path, read_by_ase):
    """As in ASE."""
    for file_format in ("extxyz", "traj", "eon"):
        path = written(tmp_path / file_format / FORMATS[file_format], file_format)
        for index, steps in (("-1", [4]), ("::2", [0, 2, 4]), (1, [1]), ("3:", [3, 4])):
            expected = ase.io.read(path, ":", format=file_format)
            found = list(ASEFileSource(str(path.parent), index=index)[0])
            assert [a.positions.tolist() for a in found] == [expected[i].positions.tolist() for i in steps]


@pytest.mark.usefixtures("_nothing_left_open")
def test_bad_files_are_named(tmp_path):
    """What is no structure, what holds pickled objects, what is in use: with the reason."""
    (tmp_path / "a.traj").write_bytes(b"PickleTrajectory" + pickle.dumps({}) * 5)
    (tmp_path / "b.aselmdb").write_bytes(b"x" * 50)
    (tmp_path / "c.txt").write_text("nothing that ASE knows")
    (tmp_path / "d.xyz").write_bytes(b"")
    (tmp_path / "e.pdb").write_text("REMARK nothing\n")
    with closing(sqlite3.connect(tmp_path / "f.db")) as database:
        database.execute("CREATE TABLE others (a INTEGER)")
    written(tmp_path / "g.db", "db")
    (tmp_path / "g.db-wal").write_bytes(b"more rows")
    (tmp_path / "h.json").write_text('{"a": 1}')
    written(tmp_path / "i.traj", "traj")
    ase.io.Trajectory(str(tmp_path / "i.traj"), "w").close()
    (tmp_path / "j.xyz").write_text("-1\n\n")
    expected = {
        "a.traj": "pickled objects .* are refused; .* python -m ase.io.trajectory",
        "b.aselmdb": "the source ase_lmdb reads",
        "c.txt": "does not recognise its format; give it with format=",
        "d.xyz": "it is empty",
        "e.pdb": "as proteindatabank, ASE finds no structure in it; give another with format=",
        "f.db": "no table 'systems'",
        "g.db": "its writer was killed: g.db-wal",
        "h.json": "as json, after 0 structures: .*Does not resemble ASE JSON",
        "i.traj": "ASE finds no structure in it",
        "j.xyz": "a number of atoms was expected, not -1",
    }
    source = ASEFileSource(str(tmp_path))
    assert [source.key(i) for i in range(len(source))] == list(expected)
    for i, message in enumerate(expected.values()):
        with pytest.raises(ComponentError, match=rf"{source.key(i)}: .*{message}"):
            list(source[i])
    (tmp_path / "k.xyz").write_text("\n\n")
    with pytest.raises(ComponentError, match=r"k.xyz: cannot be read: as extxyz, ASE finds no structure in it"):
        list(ASEFileSource(str(tmp_path), "k.xyz", frames_per_index=2)[0])


@pytest.mark.parametrize("options", [{}, {"format": "vasp-out"}, {"format": "xyz"}])
def test_constraints_beside_an_outcar_are_part_of_its_fingerprint(options, *, tmp_path):
    """ASE takes them from a CONTCAR, or a POSCAR."""
    (tmp_path / "OUTCAR").write_text("vasp\n")
    found = []
    for name, text in ((None, ""), ("POSCAR", "a"), ("POSCAR", "ab"), ("CONTCAR", "a")):
        if name is not None:
            (tmp_path / name).write_text(text)
        found.append(ASEFileSource(str(tmp_path), "OUTCAR", **options).fingerprint(0))
    assert len(set(found)) == (1 if options.get("format") == "xyz" else 4)


def vasprun(n_steps):
    basis = "<crystal><varray name='basis'><v>4 0 0</v><v>0 4 0</v><v>0 0 4</v></varray></crystal>"
    structure = f"{basis}<varray name='positions'><v>0 0 0</v><v>.5 .5 .5</v></varray></structure>"
    energies = "".join(f"<i name='{name}'>-1</i>" for name in ("e_fr_energy", "e_wo_entrp", "e_0_energy"))
    step = (
        f"<calculation><scstep><energy>{energies}</energy></scstep><structure>{structure}"
        f"<varray name='forces'><v>0 0 1</v><v>0 0 -1</v></varray><energy>{energies}</energy></calculation>\n"
    )
    points = "<varray name='kpointlist'><v>0 0 0</v></varray><varray name='weights'><v>1</v></varray>"
    atoms = "<array name='atoms'><set><rc><c>Cu</c><c>1</c></rc><rc><c>Cu</c><c>1</c></rc></set></array>"
    return (
        f"<modeling><kpoints><generation/>{points}</kpoints><atominfo>{atoms}</atominfo>"
        f"<structure name='initialpos'>{structure}{step * n_steps}</modeling>\n"
    )


def test_outputs_of_programs_that_did_not_end_fail(tmp_path, caplog, read_by_ase):
    """ASE gives the steps that it finds; the last words of others are looked for, too."""
    path = tmp_path / "vasprun.xml"
    path.write_text(vasprun(3))
    read_by_ase(list(ASEFileSource(str(tmp_path))[0]), path, "vasp-xml")
    path.write_text(vasprun(3)[:-400])
    assert len(ase.io.read(path, ":")) == 2
    with pytest.raises(
        ComponentError, match=r"after 2 structures: it ends without '</modeling>', so it is cut off, or"
    ):
        list(ASEFileSource(str(tmp_path))[0])
    assert len(list(ASEFileSource(str(tmp_path), index=-1, unfinished="keep")[0])) == 1
    assert "vasprun.xml: 1 structures are kept" in caplog.text
    for file_format in ("vasp-out", "gaussian-out", "espresso-out", "orca-output", "qbox"):
        with pytest.raises(CutOffError, match=r"or .* did not come to its end"):
            require_whole(file_format, [b" free  energy   TOTEN\n"], 1, 2)
    require_whole("vasp-out", [b" General timing and accounting\n"], 1, 2)


def test_wrong_arguments_are_refused(tmp_path):
    """Before anything is read."""
    wrong = {
        r"no files of format 'extxy'.* Is 'extxyz'": {"format": "extxy"},
        r"'mysql'; 'ase info --formats' lists those it does\.$": {"format": "mysql"},
        "at least 1": {"frames_per_index": 0},
        "exclude each other": {"frames_per_index": 1, "index": 0},
        "'::-1' chooses no structures": {"index": "::-1"},
        "say which one with format=": {"options": {"style": "charge"}},
    }
    for message, arguments in wrong.items():
        with pytest.raises(ConfigError, match=message):
            ASEFileSource(str(tmp_path), **arguments)


@pytest.mark.usefixtures("_nothing_left_open")
def test_nothing_is_written_beside_a_database(tmp_path):
    """Neither journals nor locks."""
    written(tmp_path / "a.db", "db")
    written(tmp_path / "b.json", "json")
    (tmp_path / "b.json.lock").unlink(missing_ok=True)
    source = ASEFileSource(str(tmp_path), frames_per_index=2)
    assert sum(len(list(source[i])) for i in range(len(source))) == 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.db", "b.json"]


def test_a_dataset_of_mixed_files_follows_a_correction(tmp_path, assert_same_atoms):
    """On two backends: what a bad file lacks comes with the next run; structures come back as they were read."""
    for name, file_format in (("md.xyz", "extxyz"), ("relax.traj", "traj"), ("a.cif", "cif")):
        written(tmp_path / "in" / name, file_format)
    whole = (tmp_path / "in" / "md.xyz").read_bytes()
    (tmp_path / "in" / "md.xyz").write_bytes(whole[:-50])

    def run(backend):
        source = ASEFileSource(str(tmp_path / "in"), frames_per_index=3)
        sink = AtomicDataZarrSink(str(tmp_path / "out.zarr"))
        pipeline = Pipeline(source=source, sink=sink, resume=True, db_dir=str(tmp_path))
        run_pipeline(pipeline, n_jobs=2, backend=backend, on_error="skip", gather=True)
        return source

    run("process_pool")
    assert len(open_dataset(tmp_path / "out.zarr")) == 13
    (tmp_path / "in" / "md.xyz").write_bytes(whole)
    source = run("thread_pool")
    dataset = AtomicDataset(str(tmp_path / "out.zarr"))
    expected = [atoms for i in range(len(source)) for atoms in source[i]]
    assert len(dataset) == len(expected) == 15
    for found, right in zip(dataset, expected, strict=True):
        assert_same_atoms(found, right)
