"""Which recorded paths are still there: the answer is that of asking about each, whatever the folder holds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from curator_core.storage.missing import missing_paths

N = 20
"""More than the few names for which a folder is not listed."""


@pytest.fixture
def names(tmp_path, monkeypatch):
    """Files ``out/0`` to ``out/19``, relative to the working folder."""
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    for number in range(N):
        Path(f"out/{number}").touch()
    return [f"out/{number}" for number in range(N)]


def checked(paths):
    """The missing ones, found to be those that do not exist."""
    found = missing_paths(paths)
    assert found == {path for path in paths if not Path(path).exists()}
    return found


def test_folders_are_listed_not_their_files_asked_for(names, monkeypatch):
    """Files that share a folder are found by its listing; none is asked about by itself."""
    asked = []
    monkeypatch.setattr(os.path, "exists", lambda path: asked.append(path) or False)
    assert missing_paths(names) == set()
    assert asked == []


@pytest.mark.parametrize("folder", ["", "out/", "./out/", "out//", "absolute"])
def test_however_the_folder_is_written(names, folder, monkeypatch):
    """Relative paths, the working folder itself and doubled separators mean what they mean to the system."""
    if folder == "":
        monkeypatch.chdir("out")
    prefix = f"{Path('out').absolute()}/" if folder == "absolute" else folder
    assert checked([f"{prefix}{number}" for number in range(N + 1)]) == {f"{prefix}{N}"}


def test_links(names):
    """A link to a file or folder is there, a dangling one is not, nor is one that points to itself."""
    targets = {"file": "0", "folder": "../out", "nothing": "no-such", "itself": "itself"}
    for name, target in targets.items():
        Path("out", name).symlink_to(target)
    assert checked([*names, *(f"out/{name}" for name in targets)]) == {"out/nothing", "out/itself"}


def test_folder_that_is_a_link(names):
    """Files below a link to their folder are there; once the folder is gone, they are not."""
    Path("link").symlink_to("out")
    paths = [f"link/{number}" for number in range(N)]
    assert checked(paths) == set()
    Path("out").rename("elsewhere")
    assert checked(paths) == set(paths)


def test_vanished_folder(names):
    """Without the folder everything in it is missing."""
    assert checked([f"gone/{number}" for number in range(N)] + names) == {f"gone/{number}" for number in range(N)}


def test_folder_that_became_a_file(names):
    """Nothing is below a file."""
    assert len(checked([f"out/0/{number}" for number in range(N)])) == N


def test_outputs_that_are_folders(names):
    """A folder counts as an output, with a separator at its end, too."""
    for number in range(N):
        Path(f"out/{number}.zarr").mkdir()
    paths = [f"out/{number}.zarr" for number in range(N + 1)]
    assert checked(paths) == {f"out/{N}.zarr"}
    assert checked([f"{path}/" for path in paths] + names) == {f"out/{N}.zarr/"}


def test_unicode_names(names):
    """Names are compared as the system has them, accents and scripts included."""
    present = ("\u00e9", "e\u0301", "構造", "a b", "%20", "*")
    for name in present:
        Path("out", name).touch()
    paths = [f"out/{name}" for name in (*present, "構")]
    assert checked([*paths, *names]) == {"out/構"}


def test_urls_are_taken_as_present(names):
    """What lies on another system is not looked for."""
    assert missing_paths([f"s3://bucket/{number}" for number in range(N)]) == set()


def test_few_of_very_many(names):
    """In a folder of many other files those that are looked for are found, and only they miss."""
    for number in range(N, 40 * N):
        Path(f"out/{number}").touch()
    assert checked([*names, "out/no"]) == {"out/no"}


def test_path_that_no_file_can_have(names):
    """A path that the system refuses is missing, and does not stop the others from being found."""
    odd = [f"out\0/{number}" for number in range(N)]
    assert checked([*odd, *names]) == set(odd)


def test_folder_that_cannot_be_listed(names, monkeypatch):
    """Where a folder may be entered but not listed, each file is asked about."""

    def refused(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refused)
    assert checked([*names, "out/no"]) == {"out/no"}
