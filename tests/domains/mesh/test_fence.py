"""Reader processes: an item whose reader dies, exits or hangs fails by name and alone; they end with their parent."""

import os
import resource
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyvista")

from curator_core import run_pipeline
from curator_core.domains.mesh import MeasuresFilter, Mesh, MeshPart
from curator_core.domains.mesh.fenced import ReaderError, process, read_fenced
from curator_core.errors import RunFailed
from curator_core.filters.values import FieldError
from curator_core.pipeline.components import Sink
from tests.domains.mesh.killing import KillingFilter, KillingSource

ECHO = "tests.domains.mesh.killing:echo"
ROOT = Path(__file__).parents[3]


class PointsSink(Sink):
    """A text file of the first coordinate of each item."""

    name = "test_points_sink"

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, items, index):
        (mesh,) = items
        path = Path(self.folder) / f"{index}.txt"
        path.write_text(str(mesh.parts["interior"].points[0, 0]))
        return [str(path)]


def pipeline(folder, *words):
    (folder / "in").mkdir()
    (folder / "out").mkdir()
    for number, word in enumerate(words):
        (folder / "in" / f"{number}.txt").write_text(word)
    sink = PointsSink(str(folder / "out"))
    return KillingSource(str(folder / "in")).write(sink).with_settings(db_file=folder / "run.db")


@pytest.mark.parametrize(
    ("backend", "options"),
    [
        ("sequential", {}),
        pytest.param("thread_pool", {"n_jobs": 2}, marks=pytest.mark.campaign),
        ("process_pool", {"n_jobs": 2}),
        pytest.param("loky", {"n_jobs": 2}, marks=pytest.mark.campaign),
        pytest.param("dask", {"n_jobs": 2}, marks=pytest.mark.campaign),
    ],
)
def test_an_item_whose_reader_ends_fails_alone(tmp_path, backend, options):
    """The others are processed, and the errors say what ended the reader, and what it said."""
    with pytest.raises(RunFailed) as failed:
        run_pipeline(pipeline(tmp_path, "0", "die", "2", "exit", "4"), backend=backend, **options)
    assert sorted(failed.value.failures) == [1, 3]
    died, left = failed.value.failures[1], failed.value.failures[3]
    assert "1.txt: cannot be read: the library that reads it killed its process (SIGSEGV), and said: last words" in died
    assert "3.txt: cannot be read: its library calls sys.exit(3)" in left
    found = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert found == {"0.txt": "0.0", "2.txt": "2.0", "4.txt": "4.0"}


@pytest.mark.parametrize("backend", ["sequential", pytest.param("thread_pool", marks=pytest.mark.campaign)])
def test_an_item_at_which_a_filter_ends_its_process_fails_alone(tmp_path, backend, caplog):
    """What it logs, and the arrays that it leaves as they are, are those of this process."""
    made = pipeline(tmp_path, "0", "-1", "2")
    with pytest.raises(RunFailed) as failed:
        run_pipeline(made.filter(KillingFilter()), backend=backend)
    assert list(failed.value.failures) == [1]
    assert "part 'interior': the library that works on it killed its process (SIGSEGV)" in failed.value.failures[1]
    found = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert found == {"0.txt": "0.0", "2.txt": "2.0"}
    part = MeshPart(np.full((3, 3), 5.0))
    with caplog.at_level("WARNING", "curator"):
        changed = KillingFilter().changed_mesh(Mesh({"interior": part})).parts["interior"]
    assert "seen 5.0" in caplog.messages
    assert np.shares_memory(changed.points, part.points)
    np.testing.assert_array_equal(changed.point_data["twice"], 2 * part.points)

    class Inherits(KillingFilter):
        """A class that no other process can import."""

    assert "twice" in Inherits().changed_mesh(Mesh({"interior": part})).parts["interior"].point_data
    with pytest.raises(FieldError, match=r"^part 'interior': it is no surface"):  # of the filter itself
        MeasuresFilter(["cell_normals"]).changed_mesh(Mesh({"interior": part}))


def test_a_hanging_reader_is_ended_by_the_deadline(tmp_path):
    """Also where its library lets no Python code run, and nothing of it is left."""
    read_fenced(ECHO, {"arrays": []})  # one is there
    with pytest.raises(RunFailed) as failed:
        run_pipeline(pipeline(tmp_path, "0", "hang"), backend="sequential", timeout=1.0)
    assert list(failed.value.failures) == [1]
    assert "took longer than timeout=1 s" in failed.value.failures[1]
    assert not process._idle
    assert not process._processes


def test_a_limit_ends_a_reader(tmp_path):
    """As when a run lists files, which has no deadline."""
    (tmp_path / "hang.txt").write_text("hang")
    with pytest.raises(ReaderError, match=r"takes longer than 0\.5 s"):
        read_fenced("tests.domains.mesh.killing:read", {"path": str(tmp_path / "hang.txt")}, limit_s=0.5)
    assert not process._idle


def test_arrays_come_as_they_are():
    """Of every type and shape, one process for all, in memory that can be written."""
    given = [([1.5, 2], "float32"), ([[1], [2]], ">i2"), (["wet", "dry"], "U3"), ([], "int64"), ([True], "bool")]
    first, second = (read_fenced(ECHO, {"arrays": given}) for _ in range(2))
    assert first.about == second.about
    for found, (values, dtype) in zip(first.arrays, given, strict=True):
        np.testing.assert_array_equal(found, np.array(values).astype(dtype))
        assert found.dtype == np.dtype(dtype)
    first.arrays[0][:] = 0
    assert second.arrays[0].tolist() == [1.5, 2]


def test_an_error_of_the_function_is_said():
    """The process stays for the next one."""
    pid = read_fenced(ECHO, {"arrays": []}).about["pid"]
    with pytest.raises(ReaderError, match="TypeError: an array of object cannot be handed over"):
        read_fenced(ECHO, {"arrays": [([1], "object")]})
    assert read_fenced(ECHO, {"arrays": []}).about["pid"] == pid


def test_a_process_with_many_open_files_has_readers(monkeypatch):
    """Descriptors from 1,024 on, which ``select`` takes none of."""
    monkeypatch.setattr(process, "_idle", [])
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4_096, limits[1]), limits[1]))
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        while stack.enter_context(Path(os.devnull).open()).fileno() < 1_100:
            pass
        assert read_fenced(ECHO, {"arrays": []}).about["pid"] != os.getpid()
    (reader,) = process._idle
    reader.end()


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_reader_that_ended_while_idle_is_replaced(is_killed):
    """After it had nothing to do for long, or was killed: that is no fault of the next file."""
    read_fenced("tests.domains.mesh.killing:wait_for", {"idle_s": 600.0 if is_killed else 0.0})
    reader = process._idle[-1]
    if is_killed:
        reader._process.kill()
    reader._process.wait()
    assert read_fenced(ECHO, {"arrays": [([1], "int64")]}).arrays[0].tolist() == [1]
    assert reader not in process._processes


def test_small_arrays_hold_no_descriptors():
    """A process may have a thousand of them, and a list of meshes be longer."""
    before = len(list(Path("/dev/fd").iterdir()))
    held = [read_fenced(ECHO, {"arrays": [([1, 2], "int64")]}) for _ in range(50)]
    assert len(list(Path("/dev/fd").iterdir())) < before + len(held)


def test_a_forked_process_has_readers_of_its_own():
    """Two processes never ask one reader."""
    pid = read_fenced(ECHO, {"arrays": []}).about["pid"]
    child = os.fork()
    if child == 0:
        os._exit(int(read_fenced(ECHO, {"arrays": []}).about["pid"] == pid))
    assert os.waitpid(child, 0)[1] == 0
    assert read_fenced(ECHO, {"arrays": []}).about["pid"] == pid


_PARENT = """
import sys
from curator_core.domains.mesh.fenced import read_fenced
print(read_fenced("tests.domains.mesh.killing:echo", {"arrays": []}).about["pid"], flush=True)
if sys.argv[1] == "busy":
    read_fenced("tests.domains.mesh.killing:read", {"path": sys.argv[2]})
sys.stdin.read()
"""


@pytest.mark.parametrize("state", ["idle", "busy"])
def test_a_reader_ends_with_a_parent_that_is_killed(tmp_path, state):
    """However long the reader would have taken."""
    (tmp_path / "hang.txt").write_text("hang")
    command = [sys.executable, "-c", _PARENT, state, str(tmp_path / "hang.txt")]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    with parent:
        reader = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 10
    while is_running(reader):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(pid):
    """Whether there is a process, and not only what is left of one."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
