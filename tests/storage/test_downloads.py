"""Local copies of remote files: whole, verified, kept within a limit, shared by processes."""

from __future__ import annotations

import os
import random
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from curator_core.errors import ConfigError, OutputError, UntrustedFileError
from curator_core.storage.downloads import DEFAULT_LIMIT, Downloads, RemoteFile, downloads, parsed_size

TARGET = Path(__file__).with_name("filling_target.py")
SIZE = 1000


def content_of(number):
    return bytes([number]) * SIZE


def remote(number, identity="etag"):
    return RemoteFile(f"s3://b/{number}.bin", f"{SIZE}-{identity}", SIZE)


class Fetched:
    """Reads numbered files through a cache, and notes what is downloaded."""

    def __init__(self, folder, limit=10 * SIZE):
        self.cache, self.folder = Downloads(folder, limit), folder
        self.numbers = []

    def read(self, number, **kwargs):
        with self.cache.opened(remote(number, **kwargs), lambda target: self._fetch(number, target)) as path:
            return path.read_bytes()

    def _fetch(self, number, target):
        self.numbers.append(number)
        target.write(content_of(number))

    def kept(self):
        """Names of the copies that are there, without locks and accounts."""
        return sorted(path.name for path in self.folder.rglob("*.bin"))


@pytest.fixture
def fetched(tmp_path):
    return Fetched(tmp_path / "cache")


@pytest.fixture
def start(tmp_path):
    """Function that starts a process that fills the cache."""
    started = []

    def run(numbers, mode="fill", limit=10 * SIZE):
        command = [sys.executable, str(TARGET), str(tmp_path / "cache"), str(limit), ",".join(map(str, numbers)), mode]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_a_file_is_downloaded_once(fetched):
    """Until there is another version of it, which is another copy."""
    assert [fetched.read(1), fetched.read(1), fetched.read(2)] == [content_of(1), content_of(1), content_of(2)]
    fetched.read(1, identity="other")
    assert fetched.numbers == [1, 2, 1]


def test_a_copy_is_its_owners_alone_and_is_not_written_to(fetched):
    """What was downloaded may be confidential, and a reader may not change it for others."""
    fetched.read(1)
    (copy,) = fetched.folder.rglob("*.bin")
    assert stat.S_IMODE(fetched.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(copy.stat().st_mode) == 0o400


@pytest.mark.parametrize(
    "key",
    [
        "../../../etc/passwd",
        "a/..",
        "lock",
        ".hidden",
        "x" * 500 + ".nc",
        "..\0",
        "usage",
        "é#%.h5",
        ".x.curator-tmp-1",
    ],
)
def test_no_key_leads_out_of_the_cache(tmp_path, key):
    """Whatever a server lists, the copy stands two levels below the cache, and keeps its suffix."""
    with Downloads(tmp_path / "cache", SIZE).opened(
        RemoteFile(f"s3://b/{key}", "1-e", 1), lambda target: target.write(b"x")
    ) as path:
        assert path.read_bytes() == b"x"
        assert path.parent.parent == tmp_path / "cache"
        assert path.resolve() == path
        assert path.suffix == Path(key).suffix or key in (".hidden", ".x.curator-tmp-1", "a/..", "..\0")
    assert [place.name for place in tmp_path.iterdir()] == ["cache"]


def test_the_least_recently_used_goes(fetched):
    """The limit holds after every download."""
    for number in (*range(10), 0, 1, 10):
        fetched.read(number)
        assert sum(path.stat().st_size for path in fetched.folder.rglob("*.bin")) <= 10 * SIZE
    assert {"0.bin", "1.bin", "10.bin"} <= set(fetched.kept())
    assert "2.bin" not in fetched.kept()
    fetched.read(2)
    assert fetched.numbers == [*range(11), 2]


@pytest.mark.parametrize("limit", [0, SIZE - 1])
def test_a_limit_smaller_than_one_file(tmp_path, limit, caplog):
    """The file is read all the same, goes afterwards, and a line says what it costs."""
    fetched = Fetched(tmp_path / "cache", limit)
    assert [fetched.read(1), fetched.read(1)] == [content_of(1)] * 2
    assert (fetched.numbers, fetched.kept()) == ([1, 1], [])
    assert "s3://b/1.bin has 1,000 bytes, and the download cache keeps" in caplog.text


def test_what_is_being_read_stays(fetched):
    """However little room there is; it goes when nobody reads it any more."""
    cache = Downloads(fetched.folder, SIZE)
    with cache.opened(remote(1), lambda target: target.write(content_of(1))) as first:
        with cache.opened(remote(2), lambda target: target.write(content_of(2))) as second:
            assert (first.read_bytes(), second.read_bytes()) == (content_of(1), content_of(2))
        assert first.read_bytes() == content_of(1)
    assert len(fetched.kept()) <= 1


def test_another_process_keeps_what_it_reads(fetched, start):
    """A copy is not removed while any process reads it."""
    holder = start([1], "hold")
    assert [holder.stdout.readline(), holder.stdout.readline()] == ["fetches 1\n", "holds\n"]
    small = Fetched(fetched.folder, SIZE)
    for number in (2, 3, 4):
        small.read(number)
    assert "1.bin" in small.kept()
    holder.communicate("go on\n")
    assert holder.returncode == 0
    small.read(5)
    assert "1.bin" not in small.kept()


def test_a_failed_download_leaves_nothing(fetched):
    """Neither a part of a file, nor bytes that count."""

    def fails(target):
        target.write(b"half")
        raise ConfigError("no")

    for _ in range(20):
        with pytest.raises(ConfigError, match="no"), fetched.cache.opened(remote(1), fails):
            pass
    assert {path.name for path in fetched.folder.rglob("*") if path.is_file()} == {"usage", "lock"}
    assert int((fetched.folder / "usage").read_text()) == 0
    assert fetched.read(1) == content_of(1)


def test_a_damaged_copy_is_downloaded_anew(fetched):
    """Its size says so."""
    fetched.read(1)
    (copy,) = fetched.folder.rglob("*.bin")
    copy.chmod(0o600)
    copy.write_bytes(b"cut off")
    assert fetched.read(1) == content_of(1)
    assert fetched.numbers == [1, 1]


def test_a_killed_download_is_never_seen_and_goes(fetched, start):
    """A half-written file has no name that is read; who needs room, or the file, removes it."""
    for number in (1, 2):
        process = start([number], "hang")
        assert [process.stdout.readline(), process.stdout.readline()] == [f"fetches {number}\n", "half\n"]
        assert fetched.kept() == []
        process.kill()
        process.wait()
    assert fetched.read(1) == content_of(1)
    for number in range(3, 13):
        fetched.read(number)
    temporary = [path for path in fetched.folder.rglob(".*") if path.is_file()]
    assert (temporary, fetched.numbers) == ([], [1, *range(3, 13)])


def test_others_wait_for_a_download_and_take_it_over(fetched, start):
    """A file that many need at once is downloaded once, or by the next one after a kill."""
    process = start([1], "hang")
    assert process.stdout.readline() == "fetches 1\n"
    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(fetched.read, 1) for _ in range(2)]
        assert fetched.numbers == []
        process.kill()
        process.wait()
        assert [one.result() for one in waiting] == [content_of(1)] * 2
    assert fetched.numbers == [1]


def test_two_processes_fill_one_cache(fetched, start):
    """Each reads whole files only, each file is downloaded by one of them, and the limit holds."""
    numbers = random.Random(3).sample(range(20), 20)
    both = [start(numbers, limit=100 * SIZE), start(numbers, limit=100 * SIZE)]
    lines = [line for process in both for line in process.communicate()[0].splitlines()]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(lines) == sorted(f"fetches {number}" for number in range(20))
    small = [start(numbers * 2, limit=5 * SIZE), start(numbers[::-1] * 2, limit=5 * SIZE)]
    for process in small:
        process.communicate()
    assert [process.returncode for process in small] == [0, 0]
    assert sum(path.stat().st_size for path in fetched.folder.rglob("*.bin")) <= 5 * SIZE


def test_threads_of_one_process_share_a_download(fetched):
    """Blocks of one file are read by several threads."""
    begun = threading.Barrier(4)

    def read(_):
        begun.wait()
        return fetched.read(7)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, range(4))) == [content_of(7)] * 4
    assert fetched.numbers == [7]


def test_lost_accounts_are_counted_anew(fetched):
    """After somebody removed or damaged the file that says how much there is."""
    for number in range(10):
        fetched.read(number)
    (fetched.folder / "usage").write_text("garbage")
    fetched.read(10)
    assert len(fetched.kept()) <= 10


def test_a_full_disk_is_the_files_failure(fetched, monkeypatch):
    """The error names the copy, and nothing is left."""

    def full(target):
        raise OSError(28, os.strerror(28))

    with (
        pytest.raises(OutputError, match=r"1\.bin cannot be written: the disk is full"),
        fetched.cache.opened(remote(1), full),
    ):
        pass
    assert fetched.kept() == []


def test_the_folder_of_another_user_is_refused(tmp_path):
    """Somebody else could put there what is read as a download."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    folder = tmp_path / "cache"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    with pytest.raises(UntrustedFileError, match="is no folder of yours"):
        Fetched(folder).read(1)


def test_a_place_that_cannot_be_written_is_a_wrong_configuration(tmp_path):
    """It is said before anything is read."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"the download cache cannot be created: '.*file' is no folder\.$"):
        Downloads(tmp_path / "file" / "cache", 1).check()
    Downloads(tmp_path / "new" / "cache", 1).check()
    assert not (tmp_path / "new").exists()


def test_place_and_limit_come_from_the_environment(tmp_path, monkeypatch):
    """By default the cache is beside the databases; the setting has precedence over the variable."""
    assert vars(downloads()) == {
        "_folder": Path(os.environ["CURATOR_CACHE_DIR"]) / "downloads",
        "_limit": DEFAULT_LIMIT,
    }
    monkeypatch.setenv("CURATOR_DOWNLOAD_CACHE_DIR", str(tmp_path / "other"))
    monkeypatch.setenv("CURATOR_DOWNLOAD_CACHE_SIZE", "20 GB")
    assert vars(downloads()) == {"_folder": tmp_path / "other", "_limit": 20 * 10**9}
    assert vars(downloads("1 MiB"))["_limit"] == 2**20
    monkeypatch.setenv("CURATOR_DOWNLOAD_CACHE_SIZE", "much")
    with pytest.raises(ConfigError, match="CURATOR_DOWNLOAD_CACHE_SIZE: 'much' is no size"):
        downloads()


@pytest.mark.parametrize(
    ("text", "expected"), [(5, 5), ("0", 0), ("1.5k", 1500), ("2 GiB", 2**31), ("3TB", 3 * 10**12)]
)
def test_sizes(text, expected):
    """Decimal and binary prefixes, or plain bytes."""
    assert parsed_size(text, "x") == expected
    for wrong in ("", "-1", "GB", "1 XB", "1e3", None):
        with pytest.raises(ConfigError, match=r"x: .* is no size"):
            parsed_size(wrong, "x")
