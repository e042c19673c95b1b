"""Names of outputs are refused before the first item, or right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curator_core import Filter, Pipeline, gather_pipeline, run_pipeline
from curator_core.errors import ConfigError
from curator_core.filters.statistics.filter import StatisticsFilter as TableFilter
from curator_core.testing import DatasetSink, FileSource, JsonSink, NumbersSource, StatisticsFilter


def refused(pipeline: Pipeline[Any], match: str) -> None:
    """The pipeline is refused by everything that would write, and nothing is written."""
    for use in (lambda: run_pipeline(pipeline, progress=False), lambda: pipeline[0], lambda: gather_pipeline(pipeline)):
        with pytest.raises(ConfigError, match=match):
            use()


def outputs(*names: str, **settings: Any) -> Pipeline[int]:
    """Statistics at all names but the last, a dataset there."""
    filters = [StatisticsFilter(name) for name in names[:-1]]
    return Pipeline(NumbersSource(2), filters, DatasetSink(names[-1]), **settings)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.mark.parametrize(
    "name", ["hdfs://bucket/a.json", "HDFS://b/a.json", "hdfs:/bucket/a.json", "simplecache::s3://b/a"]
)
def test_urls_are_refused(name: str) -> None:
    """What no place is known for cannot be written; nor is a folder named like its scheme made."""
    refused(outputs(name), "is a URL")
    assert not list(Path().iterdir())


def test_file_url_names_the_path() -> None:
    """A URL of a local file is refused with the path that it means."""
    refused(outputs("file:///data/my%20set.json"), "give the local path itself: '/data/my set.json'")


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("~/a.json", "only a shell expands"),
        ("~nobody-of-that-name/a.json", "only a shell expands"),
        ("", "is no path"),
        ("a\0b.json", "is no path"),
        ("na\udcefve.json", "no UTF-8"),
        ("..", "a folder's own name"),
        ("x" * 250, "shorter by"),
        ("é" * 120 + ".json", "shorter by"),
        ("y" * 256 + "/a.json", "shorter by"),
        pytest.param("/".join(["z" * 200] * 21), "too long a path", id="deep"),
    ],
)
def test_names_that_cannot_be(name: str, match: str) -> None:
    """A name that is no path, or too long for what is written beside it, is told before any item is processed."""
    refused(outputs(name), match)
    assert not list(Path().iterdir())


@pytest.mark.parametrize("n", [190, 200, 205, 207])
def test_a_long_name_works_or_is_refused(n: int) -> None:
    """No length lets items be processed that cannot be gathered."""
    pipeline = outputs("s" * n + ".json", "d" * n + ".json", db_file="m.db")
    try:
        run_pipeline(pipeline, progress=False)
    except ConfigError:
        assert not list(Path().glob("*_shard_*"))
    else:
        assert len(gather_pipeline(pipeline)) == 2


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (("a.json", "a.json"), "the same file"),
        (("a.json", "./sub/../a.json"), "the same file"),
        (("a.json", "b.json", "a.json"), "the same file"),
        (("a.txt", "a.json"), "suffix alone"),
        (("d.json/s.json", "d.json"), "inside each other"),
        (("a.json", "a_shards.db"), "like a shard"),
        (("a.json", "a_shard_000001.json"), "like a shard"),
        (("d_manifest.json", "d.json"), "like .* the manifest"),
        (("d.json.manifest.json", "d.json"), "like .* the manifest"),
        (("d.json.versions", "d.json"), "like .* the former versions"),
    ],
)
def test_outputs_that_share_a_name(names: tuple[str, ...], match: str) -> None:
    """Two outputs of one pipeline, or their shards and archives, are never the same file."""
    Path("sub").mkdir()
    refused(outputs(*names), match)


def test_same_stem_in_two_folders() -> None:
    """Outputs of one name in different folders do not meet."""
    pipeline = outputs("a/x.txt", "b/x.json", db_file="m.db", resume=True)
    run_pipeline(pipeline, progress=False)
    gather_pipeline(pipeline)
    assert pipeline.plan().counts() == {"up to date": 2}


@pytest.mark.parametrize("exists", [True, False])
def test_links_are_refused(tmp_path: Path, exists: bool) -> None:
    """An output that is a link would be replaced by a file; the place that it points to is named."""
    if exists:
        (tmp_path / "there.json").touch()
    Path("a.json").symlink_to(tmp_path / "there.json")
    refused(outputs("a.json"), "Name the place it points to: '.*there.json'")


def test_a_folder_that_is_a_link_works(tmp_path: Path) -> None:
    """Outputs in a folder that is a link into another file system go there."""
    (tmp_path / "scratch").mkdir()
    Path("out").symlink_to(tmp_path / "scratch")
    pipeline = outputs("out/s.json", "out/d.json", db_file="m.db")
    run_pipeline(pipeline, progress=False)
    gather_pipeline(pipeline)
    assert {path.name for path in (tmp_path / "scratch").iterdir()} >= {"s.json", "d.json"}


def test_an_output_among_the_inputs(tmp_path: Path) -> None:
    """An output that the source would list, by its own name or that of its shards, is refused; another is not."""
    data = tmp_path / "data"
    data.mkdir()
    for name in ("a.txt", "a_manifest.json"):
        (data / name).write_text("1")
    for name in ("sum.txt", "a.txt"):
        refused(
            Pipeline(FileSource(str(data)), [StatisticsFilter(str(data / name))], JsonSink("o")), "among the inputs"
        )
    manifest = Pipeline(FileSource(str(data), "*_manifest.json"), sink=DatasetSink(str(data / "d.zip")))
    refused(manifest, "among the inputs.*d_manifest.json")
    (data / "d.zip.versions").mkdir()
    (data / "d.zip.versions" / "a.zip").write_text("1")
    records = Pipeline(FileSource(str(data / "d.zip.versions"), "*.zip"), sink=DatasetSink(str(data / "d.zip")))
    refused(records, r"among the inputs.*d\.zip\.versions/")
    Path("alias").symlink_to(data)
    refused(Pipeline(FileSource(str(data)), [StatisticsFilter("alias/b.txt")], JsonSink("o")), "among the inputs")
    beside = Pipeline(FileSource(str(data)), [StatisticsFilter(str(data / "sum.json"))], JsonSink("o"), db_file="m.db")
    run_pipeline(beside, progress=False)
    assert gather_pipeline(beside) == [str(data / "sum.json")]


class OneFile(NumbersSource):
    """Numbers of a file that its argument names."""

    def __init__(self, path: str) -> None:
        super().__init__(1)
        self.path = path


def test_an_output_that_is_the_input_file() -> None:
    """The file that an argument of the source names cannot be the output."""
    Path("in.json").touch()
    Path("link.json").symlink_to("in.json")
    refused(Pipeline(OneFile("link.json"), [StatisticsFilter("in.json")], JsonSink("o")), "is the path of OneFile")


def test_the_database_is_no_output() -> None:
    """An archive of shards and the metrics database are different files."""
    refused(outputs("mol.json", db_file="mol_shards.db"), "share a file")


def test_a_filter_of_another_package_whose_output_is_fixed() -> None:
    """A filter whose `_output_path` cannot be set cannot be given shards, and is told so once, not for every item."""

    class Fixed(Filter[int]):
        @property
        def _output_path(self) -> str:
            return "rows.json"

        def __call__(self, items: Any) -> Any:
            yield from items

        def flush(self) -> None: ...

        def merge(self, paths: list[str], output: str) -> None: ...

    refused(Pipeline(NumbersSource(2), [Fixed()], JsonSink("o")), "its _output_path cannot be set")


def test_a_template_for_workers_is_refused() -> None:
    """Elsewhere `{worker_id}` stands for the worker; here it would be taken literally."""
    refused(outputs("rows_{worker_id}.json"), "Name the merged output: 'rows.json'")


def test_a_folder_where_a_table_should_be() -> None:
    """A table cannot replace a folder."""
    Path("s.parquet").mkdir()
    pipeline = Pipeline(NumbersSource(1), [TableFilter("s.parquet")], JsonSink("o"))
    with pytest.raises(ConfigError, match="is a folder"):
        run_pipeline(pipeline, progress=False)


@pytest.mark.parametrize("setting", ["db_file", "db_dir"])
def test_places_of_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    """`~` is the home folder, and a URL is refused, for the database and its folder."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    pipeline = Pipeline(NumbersSource(1), sink=JsonSink("o"))
    run_pipeline(pipeline.with_settings(**{setting: "~/records"}), progress=False)
    assert (tmp_path / "home" / "records").exists()
    with pytest.raises(ConfigError, match="is a URL"):
        run_pipeline(pipeline.with_settings(**{setting: "s3://bucket/records"}), progress=False)
    assert {path.name for path in Path().iterdir()} == {"o"}


def test_environment_of_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` in CURATOR_CACHE_DIR is the home folder; a relative XDG_CACHE_HOME is ignored, as its rules have it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CURATOR_CACHE_DIR", "~/cache")
    run_pipeline(NumbersSource(1).write(JsonSink("o")), progress=False)
    assert list((tmp_path / "home" / "cache").glob("*.db"))
    monkeypatch.delenv("CURATOR_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    run_pipeline(NumbersSource(1).write(JsonSink("o")), progress=False)
    assert list((tmp_path / "home" / ".cache" / "curator").glob("*.db"))
    assert {path.name for path in Path().iterdir()} == {"o"}


def test_the_folder_of_files_is_checked() -> None:
    """The folder of a sink that writes one file for an item is checked as well."""
    for folder, match in (("~/out", "only a shell"), ("s3://b/out", "is a URL")):
        with pytest.raises(ConfigError, match=match):
            run_pipeline(NumbersSource(1).write(JsonSink(folder)), progress=False)
