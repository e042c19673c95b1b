"""Sources of remote files: the same items as those of a folder, whatever servers do."""

from __future__ import annotations

import json
import os
import pickle
import re
import sys
import uuid
from pathlib import Path

import pytest

from curator_core import FileSource, Pipeline, run_pipeline
from curator_core.errors import ComponentError, ConfigError, EmptySourceError, MissingDependencyError, RunFailed
from curator_core.merge.output_names import check_output_names
from curator_core.sources.glob import matching
from curator_core.storage.objects.stores import TRIES
from curator_core.testing import DatasetSink, JsonSink, SourceContract

SECRET_TEXT = "s3cr3t-of-storage-options"


class Texts(FileSource[str]):
    """Lines of files, one a line; with `n`, that many lines an item.

    Parameters
    ----------
    root
        Where they are.
    pattern
        Which.
    n
        Lines per item.
    options
        Of the base class.
    """

    name = "texts"
    may_be_empty = True

    def __init__(self, root, pattern="*.txt", n=None, **options):
        super().__init__(root, pattern, **options)
        self.n = n

    def splits(self):
        return self.n is not None

    def split(self, file):
        starts = range(0, len(file.path.read_text().splitlines()), self.n)
        return [file.part(str(start), start, start + self.n) for start in starts]

    def read(self, item):
        yield from item.path.read_text().splitlines()[item.start : item.stop]


def keys(source):
    return [source.key(index) for index in range(len(source))]


def log_of(database, index):
    from curator_core.store import MetricsStore

    with MetricsStore(database) as store:
        return [line["message"] for line in store.logs(store.latest_run().run_id, index)]


@pytest.fixture
def objects(flaky):
    """Three small objects below ``s3://b/pre``."""
    flaky.objects |= {f"/b/pre/{name}.txt": f"{name}\n{name}2\n{name}3".encode() for name in ("a", "b/c", "d")}
    return flaky


class TestRemoteTexts(SourceContract):
    """The contract of sources, for objects."""

    @pytest.fixture(autouse=True)
    def _server(self, objects):
        pass

    def make_source(self, tmp_path):
        return Texts("s3://b/pre")


def test_keys_are_those_of_a_folder(objects, tmp_path):
    """Listing, order and what is passed over do not depend on where the files are; markers of folders are none."""
    for name in (".hidden.txt", "x.txt.part", "e.csv", "b/~f.txt~", "é #%&.txt"):
        objects.objects[f"/b/pre/{name}".replace("&", "")] = b"1"
    for path, content in objects.objects.items():
        place = tmp_path / path.removeprefix("/b/pre/")
        place.parent.mkdir(exist_ok=True, parents=True)
        place.write_bytes(content)
    objects.objects |= {"/b/pre/": b"", "/b/pre/b/": b"", "/b/prefix.txt": b"no", "/b/pre": b"no"}
    for pattern in ("*", "*.txt", "b/*.txt", "**/*.txt", ".*.txt", "*.part", "?.txt", "[ad].*", "b/c.txt", "**/b/*"):
        assert keys(Texts("s3://b/pre", pattern)) == keys(Texts(tmp_path, pattern)), pattern
    assert keys(Texts("s3://b/", "pre*.txt")) == ["prefix.txt"]


def test_fingerprints_are_size_and_etag_and_nothing_is_downloaded(objects):
    """A listing is one request, and a path is the URL."""
    source = Texts("s3://b/pre")
    assert source.fingerprint(0) == "7-" + re.search("7-(.*)", source.fingerprint(0))[1]
    assert [source.item_path(i) for i in range(3)] == [f"s3://b/pre/{name}.txt" for name in ("a", "b/c", "d")]
    assert sum(objects.requests.values()) == 1
    before = source.fingerprint(0)
    objects.objects["/b/pre/a.txt"] = b"changed"
    assert Texts("s3://b/pre").fingerprint(0) not in (before, None)


def test_an_item_is_downloaded_when_it_is_read(objects):
    """Once: the copy serves until the object changes."""
    source = Texts("s3://b/pre")
    assert [list(source[1]), list(source[1]), list(Texts("s3://b/pre")[1])] == [["b/c", "b/c2", "b/c3"]] * 3
    assert objects.requests["GET /b/pre/b/c.txt"] == 1
    assert objects.requests["GET /b/pre/a.txt"] == 0


def test_parts_of_a_remote_file(objects):
    """Splitting downloads each file once; keys are those of local parts, and errors name the URL."""
    source = Texts("s3://b/pre", n=2)
    assert keys(source) == [f"{name}.txt#{start}" for name in ("a", "b/c", "d") for start in (0, 2)]
    assert list(pickle.loads(pickle.dumps(source))[1]) == ["a3"]
    assert source.item_path(1) == "s3://b/pre/a.txt"
    assert objects.requests["GET /b/pre/a.txt"] == 1


def test_a_server_that_fails_while_files_are_split_ends_the_listing(objects):
    """Otherwise its items would be taken for removed ones."""
    objects.faults["/b/pre/b/c.txt"] = ["503"] * TRIES
    with pytest.raises(ComponentError, match=r"s3://b/pre/b/c\.txt: cannot be downloaded: the service does not answer"):
        len(Texts("s3://b/pre", n=2))


FAULTS = {
    "503 storm": (
        ["503", "500", "503", "429"],
        "503 Service Unavailable (2 times), 500 Internal Server Error, 429 Too",
    ),
    "resets": (["reset", "drop"], "a lost connection (2 times)"),
    "short answers": (["short", "short", "503"], "a lost connection (2 times), 503 Service Unavailable"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_passes_is_tried_again_and_seen(objects, tmp_path, name):
    """The item is read, and one line of its log says how often it was tried, and why."""
    faults, counted = FAULTS[name]
    objects.faults["/b/pre/a.txt"] = list(faults)
    pipeline = Pipeline(Texts("s3://b/pre"), sink=JsonSink(tmp_path / "out"), db_file=tmp_path / "m.db")
    run_pipeline(pipeline, progress=False)
    assert json.loads((tmp_path / "out" / "item_000000.json").read_text()) == ["a", "a2", "a3"]
    lines = [message for message in log_of(tmp_path / "m.db", 0) if "s3://b/pre/a.txt" in message]
    assert len(lines) == 1
    assert lines[0].startswith(f"s3://b/pre/a.txt: answered at try {len(faults) + 1}, after {counted}")
    assert log_of(tmp_path / "m.db", 1) == []


def test_a_download_goes_on_where_it_was_cut_off(objects, monkeypatch):
    """A large file comes through a bad connection in parts, of one version."""
    monkeypatch.setattr("curator_core.sources.remote_folder.CHUNK_BYTES", 50)
    objects.objects["/b/pre/a.txt"] = b"x" * 100_000
    objects.faults["/b/pre/a.txt"] = ["short"] * (TRIES + 2)
    assert list(Texts("s3://b/pre")[0]) == ["x" * 100_000]
    assert objects.ranges[:2] == ["bytes=50000-", "bytes=75000-"]
    assert len(objects.ranges) == TRIES + 2


def test_a_listing_goes_on_where_it_was_cut_off(objects):
    """However often: of a million objects, some requests fail."""
    objects.objects |= {f"/b/many/{number:03}.txt": b"1" for number in range(300)}
    objects.page_size = 60
    objects.faults["/b"] = [None, "503", "reset"] * 5
    assert keys(Texts("s3://b/many")) == [f"{number:03}.txt" for number in range(300)]
    assert objects.requests["GET /b"] > TRIES + 5


def test_a_key_that_is_no_path(objects):
    """The listing is refused, by its name: no file could be called so."""
    objects.objects["/b/pre/x//y.txt"] = b"1"
    with pytest.raises(ConfigError, match=r"s3://b/pre cannot be listed: .*pre/x//y\.txt.* empty path segment\.$"):
        Texts("s3://b/pre").check()


def test_the_last_failure_is_the_items_own(objects, tmp_path):
    """Other items are processed; the sentence names the URL, why, and how often it was tried."""
    objects.faults["/b/pre/b/c.txt"] = ["503"] * 99
    objects.faults["/b/pre/d.txt"] = ["short"] * 99
    objects.objects["/b/pre/d.txt"] = b"d"
    pipeline = Pipeline(Texts("s3://b/pre"), sink=JsonSink(tmp_path / "out"), track_metrics=False)
    with pytest.raises(RunFailed) as failed:
        run_pipeline(pipeline, progress=False)
    assert list(failed.value.failures) == [1, 2]
    error = failed.value.failures[1]
    assert error.startswith(
        "ComponentError: texts: s3://b/pre/b/c.txt: cannot be downloaded: the service does not answer"
    )
    assert error.endswith(f"({TRIES} tries: 503 Service Unavailable ({TRIES} times)).")
    assert objects.requests["GET /b/pre/b/c.txt"] == TRIES
    assert "the connection to the service at" in failed.value.failures[2]


def test_an_object_that_is_replaced_after_it_was_listed_fails(objects):
    """What was planned is not what is there; the next run reads the new one."""
    source = Texts("s3://b/pre")
    len(source)
    objects.objects["/b/pre/a.txt"] = b"another content"
    del objects.objects["/b/pre/d.txt"]
    with pytest.raises(ComponentError, match=r"a\.txt: cannot be downloaded: it was replaced after it was listed: run"):
        list(source[0])
    with pytest.raises(ComponentError, match=r"d\.txt: cannot be downloaded: it was removed after it was listed\.$"):
        list(source[2])
    assert list(Texts("s3://b/pre")[0]) == ["another content"]


def test_an_object_that_is_replaced_between_two_tries_is_not_mixed(objects, monkeypatch):
    """The rest of the new version is never put behind the beginning of the old one."""
    monkeypatch.setattr("curator_core.sources.remote_folder.CHUNK_BYTES", 50)
    objects.objects["/b/pre/a.txt"] = b"x" * 1000
    source = Texts("s3://b/pre")
    len(source)
    objects.faults["/b/pre/a.txt"] = ["short", "replaced"]
    with pytest.raises(ComponentError, match="replaced after it was listed"):
        list(source[0])


def test_an_object_of_no_bytes(objects):
    """It is a file, too."""
    objects.objects["/b/pre/a.txt"] = b""
    assert list(Texts("s3://b/pre")[0]) == []


CONFIGURATIONS = {
    "no prefix": (
        "s3://b/nowhere",
        {},
        EmptySourceError,
        r"there is nothing below s3://b/nowhere/: correct the URL\.$",
    ),
    "no match": ("s3://b/pre", {"pattern": "*.nc"}, EmptySourceError, r"no file in 's3://b/pre' matches '\*\.nc'\.$"),
    "unknown option": ("s3://b/pre", {"storage_options": {"acces_key": SECRET_TEXT}}, ConfigError, "acces_key"),
    "wrong option": ("s3://b/pre", {"storage_options": {"allow_http": SECRET_TEXT}}, ConfigError, "cannot be opened"),
    "wrong size": ("s3://b/pre", {"cache_size": "much"}, ConfigError, "'much' is no size"),
    "scheme": ("ftp://b/pre", {}, ConfigError, "URLs of the schemes s3, gs, az, http, https, memory, hf"),
    "lost slash": ("s3:/b/pre", {}, ConfigError, "has lost a slash"),
    "password": (
        "https://me:pw@b/pre",
        {},
        ConfigError,
        r"texts: 'https://b/pre' needs the name of a place, and no credentials",
    ),
    "signed": ("https://b/pre?X-Amz-Signature=1", {}, ConfigError, r"texts: 'https://b/pre' needs the name of"),
    "nothing": ("s3://", {}, ConfigError, "names no object"),
    "dots": ("s3://b/a/../c", {}, ConfigError, "names no object"),
    "signed object": ("s3://b/a?X-Amz-Signature=1", {}, ConfigError, "'s3://b/a' is given with credentials"),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_wrong_configuration_is_one_sentence_before_any_item(objects, tmp_path, name):
    """Nothing is processed, nothing is recorded, and no secret is shown."""
    root, options, kind, message = CONFIGURATIONS[name]
    with pytest.raises(kind, match=message) as caught:
        run_pipeline(Pipeline(Texts(root, **options), sink=JsonSink(tmp_path / "out")), progress=False)
    assert "\n" not in str(caught.value)
    assert SECRET_TEXT not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        (["403"], "access is denied"),
        (["401"], "the credentials are refused: set AWS_ACCESS_KEY_ID"),
        (["503"] * TRIES, f"the service does not answer properly, after {TRIES} tries"),
        (["reset"] * TRIES, rf"the service at http://\S+ cannot be reached, after {TRIES} tries"),
    ],
)
def test_a_place_that_cannot_be_listed_is_a_wrong_configuration(objects, faults, message):
    """It is said by the place, in a sentence."""
    objects.faults["/b"] = list(faults)
    with pytest.raises(ConfigError, match=rf"texts: s3://b/pre cannot be listed: {message}.*\.$") as caught:
        Texts("s3://b/pre").check()
    assert "\n" not in str(caught.value)
    Texts("s3://b/pre").check()


def test_credentials_are_written_nowhere(objects, tmp_path, monkeypatch):
    """Neither into the configuration, nor into the database, the log or an error; those of the arguments come first.

    They reach the workers, which have the listing, and share the cache.
    """
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "")
    options = {"access_key_id": "AKIAOTHER", "secret_access_key": SECRET_TEXT, "region": "us-east-1"}
    source = Texts("s3://b/pre", storage_options=options)
    assert source.secret_values() == ["AKIAOTHER", SECRET_TEXT]
    objects.faults["/b/pre/b/c.txt"] = ["403"]
    pipeline = Pipeline(source, sink=JsonSink(tmp_path / "out"), db_file=tmp_path / "m.db")
    assert pipeline.config_hash == Pipeline(Texts("s3://b/pre"), sink=JsonSink(tmp_path / "out")).config_hash
    run_pipeline(pipeline, progress=False, on_error="skip", backend="process_pool", n_jobs=2)
    assert list(pipeline.failed_indices) == [1]
    assert (objects.requests["GET /b/pre/a.txt"], objects.requests["GET /b"]) == (1, 1)
    pipeline.save(tmp_path / "pipeline.yaml")
    for path in [*tmp_path.rglob("*"), *Path(os.environ["CURATOR_CACHE_DIR"]).rglob("*")]:
        if path.is_file():
            assert SECRET_TEXT.encode() not in path.read_bytes(), path


def test_a_web_server(objects, monkeypatch):
    """Its pages are followed; queries, other places and parents are passed over; identity is the ETag or the time."""
    objects.objects["/b/pre/b/é #.txt"] = b"odd"
    objects.faults["/b/pre/b/"] = ["503"]
    objects.faults["/b/pre/a.txt"] = ["503", "503", "short"]
    source = Texts(f"{objects.url}/b/pre/")
    assert keys(source) == ["a.txt", "b/c.txt", "b/é #.txt", "d.txt"]
    assert list(source[0]) == ["a", "a2", "a3"]
    assert list(source[2]) == ["odd"]
    assert source.item_path(2) == f"{objects.url}/b/pre/b/%C3%A9%20%23.txt"
    assert source.fingerprint(0) == Texts("s3://b/pre").fingerprint(0)
    objects.has_tags = False
    untagged = Texts(f"{objects.url}/b/pre")
    assert untagged.fingerprint(0) == "7-@2026-11-29T20:59:07+00:00"
    assert list(untagged[0]) == ["a", "a2", "a3"]
    objects.objects["/b/pre/b/c.txt"] = b"other"
    with pytest.raises(ComponentError, match="replaced after it was listed"):
        list(untagged[1])


def test_a_web_server_without_the_place(objects):
    """It says so."""
    with pytest.raises(ConfigError, match=r"there is nothing at http\S+/nowhere: correct the URL"):
        Texts(f"{objects.url}/nowhere").check()


def test_a_web_server_that_gives_sizes_alone(objects):
    """Its files may be others at any time: no copy is used for another listing."""
    objects.has_tags = objects.has_times = False
    source = Texts(f"{objects.url}/b/pre")
    assert [source.fingerprint(0), list(source[0]), list(source[0])] == ["7", ["a", "a2", "a3"], ["a", "a2", "a3"]]
    assert objects.requests["GET /b/pre/a.txt"] == 1
    objects.objects["/b/pre/a.txt"] = b"z\nz2\nz3"
    assert list(Texts(f"{objects.url}/b/pre")[0]) == ["z", "z2", "z3"]


def test_other_file_systems_are_read_through_fsspec():
    """Keys, reading and changes are those of any other place; what fails is the item's own failure."""
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    place = f"/curator-{uuid.uuid4().hex}"
    for name in ("a.txt", "b/c.txt", "b/d.csv", ".e.txt"):
        files.pipe(f"{place}/{name}", f"{name}\n2".encode())
    try:
        source = Texts(f"memory:/{place}")
        assert keys(pickle.loads(pickle.dumps(source))) == keys(source) == ["a.txt", "b/c.txt"]
        assert [list(source[0]), list(source[1])] == [["a.txt", "2"], ["b/c.txt", "2"]]
        assert source.item_path(1) == f"memory:/{place}/b/c.txt"
        lost = Texts(f"memory:/{place}", "b/*.csv")
        len(lost)
        files.rm(f"{place}/b/d.csv")
        with pytest.raises(ComponentError, match=r"d\.csv: cannot be downloaded: it was removed after it was listed"):
            list(lost[0])
        files.pipe(f"{place}/a.txt", b"new")
        assert list(Texts(f"memory:/{place}")[0]) == ["new"]
        with pytest.raises(EmptySourceError, match="there is nothing"):
            Texts(f"memory:/{place}/nowhere").check()
    finally:
        files.rm(place, recursive=True)


class Unstable:
    """A file system of which some requests fail."""

    def __init__(self, files, failures):
        self.files, self.failures = files, failures

    def find(self, *args, **kwargs):
        if self.failures:
            raise self.failures.pop(0)
        return self.files.find(*args, **kwargs)


def test_file_systems_of_fsspec_that_fail(monkeypatch):
    """A connection is tried again; anything else is a sentence before the first item."""
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setattr("curator_core.storage.objects.retrying.FIRST_PAUSE_S", 0.001)
    files = fsspec.filesystem("memory")
    place = f"/curator-{uuid.uuid4().hex}"
    files.pipe(f"{place}/a.txt", b"1")
    failures = [ConnectionResetError("reset"), TimeoutError()]
    monkeypatch.setattr("fsspec.core.url_to_fs", lambda *_: (Unstable(files, failures), place))
    try:
        assert keys(Texts(f"memory:/{place}")) == ["a.txt"]
        assert failures == []
        failures += [PermissionError("not yours")]
        with pytest.raises(ConfigError, match=r"memory://curator-\w+ cannot be listed: not yours\.$"):
            Texts(f"memory:/{place}").check()
    finally:
        files.rm(place, recursive=True)


def test_without_the_client(objects, monkeypatch):
    """The extra that brings it is named."""
    for name in ("obstore", "obstore.store"):
        monkeypatch.setitem(sys.modules, name, None)
    for root in ("s3://b/pre", objects.url):
        with pytest.raises(MissingDependencyError, match=r"\w+:// needs obstore.*curator-dagster\[objects\]"):
            Texts(root).check()


def test_inputs_are_recognised_by_url(objects):
    """An output among them is refused."""
    source = Texts("s3://b/pre")
    places = ["s3://b/pre/x.txt", "s3://b/pre/x/y.txt", "s3://b/pre/x.csv", "s3://b/pre2/x.txt", "/b/pre/x.txt"]
    assert [source.is_input(place) for place in places] == [True, True, False, False, False]
    with pytest.raises(
        ConfigError, match=r"stands among the inputs: texts would read 's3://b/pre/all\.json' as an item"
    ):
        check_output_names(Pipeline(Texts("s3://b/pre", "*"), sink=DatasetSink("s3://b/pre/all.json")))
    check_output_names(Pipeline(source, sink=DatasetSink("s3://b/pre/all.json")))


def test_a_forked_process_says_what_to_do(objects, tmp_path):
    """A client's threads do not survive a fork: its first request would never end."""
    source = Texts("s3://b/pre")
    len(source)
    pipeline = Pipeline(source, sink=JsonSink(tmp_path / "out"), track_metrics=False)
    with pytest.raises(RunFailed) as failed:
        run_pipeline(pipeline, backend="process_pool", n_jobs=2, progress=False, mp_context="fork")
    assert "PipelineStateError" in failed.value.failures[0]
    assert "mp_context='forkserver'" in failed.value.failures[0]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.txt", ["a.txt", "b/c.txt", "b/d/e.txt"]),
        ("b/*.txt", ["b/c.txt"]),
        ("b/**/*.txt", ["b/c.txt", "b/d/e.txt"]),
        ("**/d/*", ["b/d/e.txt"]),
        ("./a.txt", ["a.txt"]),
        ("B/*.txt", []),
    ],
)
def test_patterns(tmp_path, pattern, expected):
    """As `pathlib` has them."""
    names = ["a.txt", "b/c.txt", "b/d/e.txt", "b/x.csv"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert matching(names, pattern) == expected
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob(pattern) if p.is_file()) == expected
