"""Databases in a bucket: the same structures as those of a folder, from the command line, by processes, in Dagster."""

from __future__ import annotations

import os
import uuid

import pytest
import yaml
from ase import Atoms

from benchmarks.object_server import BUCKET, SECRET
from curator_core.domains.atoms import ASELMDBSource, AtomicDataset

pytestmark = pytest.mark.xdist_group("objects")

KEY_VARIABLE = "KEY_FOR_THE_BUCKET"


@pytest.fixture
def databases(tmp_path, write_with_ase, monkeypatch):
    """Folder, below the current one, of two small databases, one of them in a sub-folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "in"
    for name, n_rows in {"b.aselmdb": 3, "a/z.aselmdb": 2}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_with_ase(path, [(Atoms(f"H{i + 1}"), {"row": i}, {}) for i in range(n_rows)])
    return folder


@pytest.fixture
def url(databases, object_store_server, monkeypatch):
    """URL of a copy of them in a bucket, of which the environment gives all but the secret."""
    prefix = f"raw-{uuid.uuid4().hex}"
    for path in databases.rglob("*.aselmdb"):
        object_store_server.put(f"{prefix}/{path.relative_to(databases).as_posix()}", path.read_bytes())
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in object_store_server.environment.items():
        monkeypatch.setenv(name if value != SECRET else KEY_VARIABLE, value)
    object_store_server.counts()
    return f"s3://{BUCKET}/{prefix}"


def options():
    return {"secret_access_key": os.environ[KEY_VARIABLE]}


@pytest.mark.parametrize("rows_per_index", [None, 2])
def test_items_are_those_of_the_folder(databases, url, rows_per_index):
    """Keys, numbers and structures; only blocks need a download before they are read."""
    local = ASELMDBSource(str(databases), rows_per_index=rows_per_index)
    remote = ASELMDBSource(url, rows_per_index=rows_per_index, storage_options=options())
    indices = range(len(local))
    assert [remote.key(i) for i in indices] == [local.key(i) for i in indices]
    assert [[len(a) for a in remote[i]] for i in indices] == [[len(a) for a in local[i]] for i in indices]


def test_from_a_pipeline_file_by_processes(databases, url, tmp_path, object_store_server, capsys):
    """Each object is downloaded once, a second run downloads nothing, and an object that changed is due again."""
    from curator_core.cli import main

    secret = {"secret_access_key": {"$env": KEY_VARIABLE}}
    source = {"component": "ase_lmdb", "params": {"data_dir": url, "storage_options": secret}}
    sink = {"component": "atomic_data_zarr", "params": {"output_path": "out.zarr"}}
    description = {"source": source, "sink": sink, "settings": {"db_file": "m.db"}}
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(description))
    assert main(["run", "p.yaml", "--backend", "process_pool", "--jobs", "2", "--gather"]) == 0
    assert object_store_server.counts()["GET"] == 3  # a listing, and two objects
    assert [len(a) for a in AtomicDataset("out.zarr")] == [1, 2, 1, 2, 3]
    assert main(["plan", "p.yaml"]) == 0
    assert object_store_server.counts()["GET"] == 1
    object_store_server.put(f"{url.split('/')[-1]}/b.aselmdb", (databases / "a/z.aselmdb").read_bytes())
    assert main(["run", "p.yaml", "--resume", "--gather"]) == 0
    assert [len(a) for a in AtomicDataset("out.zarr")] == [1, 2, 1, 2]
    assert object_store_server.counts()["GET"] == 2
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err


def test_wrong_credentials_on_the_command_line(url, tmp_path, capsys, monkeypatch):
    """One sentence, exit status 2, before any item."""
    from curator_core.cli import main

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFNOBODY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-nobody")
    source = {"component": "ase_lmdb", "params": {"data_dir": url}}
    sink = {"component": "atomic_data_zarr", "params": {"output_path": "out.zarr"}}
    (tmp_path / "p.yaml").write_text(yaml.safe_dump({"source": source, "sink": sink}))
    assert main(["run", "p.yaml"]) == 2
    said = capsys.readouterr()
    assert f"{url} cannot be listed: the credentials are refused: set AWS_ACCESS_KEY_ID" in said.err
    assert "secret-of-nobody" not in said.out + said.err


def test_partitions_in_dagster(url, tmp_path):
    """Objects are partitions, by the keys of files, and a result shows its URL."""
    from dagster import AssetKey, AssetRecordsFilter, DagsterInstance

    from curator_core import Pipeline
    from curator_core.domains.atoms import AtomicDataZarrSink
    from curator_dagster import build_curation_defs

    source = ASELMDBSource(url, storage_options=options())
    pipeline = Pipeline(source, sink=AtomicDataZarrSink(str(tmp_path / "out.zarr")), db_file=tmp_path / "m.db")
    defs = build_curation_defs("bucket", lambda: pipeline)
    with DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("bucket", ["a/z.aselmdb", "b.aselmdb"])
        job = defs.resolve_implicit_global_asset_job_def()
        samples = AssetKey(["bucket", "samples"])
        assert job.execute_in_process(instance=instance, asset_selection=[samples], partition_key="a/z.aselmdb").success
        (record,) = instance.fetch_materializations(AssetRecordsFilter(samples), limit=9).records
        assert record.asset_materialization.partition == "a/z.aselmdb"
        assert record.asset_materialization.metadata["curator/path"].value == f"{url}/a/z.aselmdb"
