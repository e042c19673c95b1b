"""Datasets by their path: the right reader, and what is said where there is none."""

import json
import shutil

import numpy as np
import pytest
import zarr

import curator_core
from curator_core import open_dataset
from curator_core.domains.atoms import AtomicDataset
from curator_core.errors import ComponentError, ConfigError, IndexRangeError, UnknownNameError
from curator_core.reading import DatasetOpener, register_opener
from curator_core.reading.opening import openers


def test_the_format_names_the_reader(dataset):
    """Of structures a sequence, whatever it is opened by."""
    for path in (dataset, str(dataset)):
        found = open_dataset(path)
        assert type(found) is AtomicDataset
        assert len(found) == 80
        assert found[-1].get_potential_energy() == 79
    assert curator_core.open_dataset is open_dataset


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket/folder/data.zarr",
        "s3://key:word@bucket/data.zarr?signature=word",
        "https://host/data.zarr",
        "s3:/bucket/data.zarr",
        "gs://bucket/data.zarr/",
    ],
)
def test_a_url_of_no_repository(url):
    """It is no folder here, and says what could be opened, without what it holds of credentials."""
    with pytest.raises(ConfigError, match=r"'data.zarr' names no dataset: those end in \.icechunk or \.delta") as found:
        open_dataset(url)
    assert "word" not in str(found.value)


def test_a_batch_is_the_samples_at_its_positions(dataset):
    """In their order, twice where they are asked for twice; slices too."""
    found = open_dataset(dataset)
    positions = [70, 3, 3, -1, 4, 5]
    assert [atoms.get_potential_energy() for atoms in found.__getitems__(positions)] == [70, 3, 3, 79, 4, 5]
    for atoms, position in zip(found.__getitems__(positions), positions, strict=True):
        assert atoms == found[position]
        assert atoms.calc.results["forces"].tolist() == found[position].calc.results["forces"].tolist()
    assert [atoms.get_potential_energy() for atoms in found[10:0:-3]] == [10, 7, 4, 1]
    assert found.__getitems__([]) == found[5:5] == []
    for wrong in ([80], [0, -81]):
        with pytest.raises(IndexRangeError, match="out of range for 80 structures"):
            found.__getitems__(wrong)


def test_arrays_of_a_batch_are_those_that_zarr_reads(dataset):
    """Of numbers alone; missing values have a mask."""
    found = open_dataset(dataset)
    group = zarr.open_group(str(dataset), mode="r")
    assert {"positions", "forces", "energy", "info/gap", "present/info/gap"} <= found.arrays().keys()
    assert "calculator" not in found.arrays()
    assert found.arrays()["forces"].dims == ("atom", "xyz")
    positions = [12, 0, 79]
    batch = found.batch(positions, ["forces", "energy", "present/info/gap", "info/gap"])
    real = np.asarray(group["is_valid"])
    start, n_atoms = np.asarray(group["atom_start"])[real], np.asarray(group["n_atoms"])[real]
    forces = np.concatenate([group["forces"][int(start[i]) : int(start[i] + n_atoms[i])] for i in positions])
    assert batch.values["forces"].tolist() == forces.tolist()
    assert batch.counts["atom"].tolist() == [2 + i % 5 for i in positions]
    assert batch.values["energy"].tolist() == [12.0, 0.0, 79.0]
    assert batch.values["present/info/gap"].tolist() == [False, False, True]
    assert np.isnan(batch.values["info/gap"][:2]).all()
    for wrong in ("force", "calculator", "present/energy"):
        with pytest.raises(UnknownNameError, match=f"Unknown array of numbers '{wrong}'"):
            found.batch(positions, [wrong])


def test_what_is_no_dataset_is_named(tmp_path, dataset):
    """Nothing, another folder, a group of somebody else, a format of a package that is not there."""
    with pytest.raises(ComponentError, match=f"There is no Zarr group at {tmp_path}/nothing"):
        open_dataset(tmp_path / "nothing")
    zarr.create_group(str(tmp_path / "own"), zarr_format=3)
    with pytest.raises(ComponentError, match=r"own is no dataset of curator: its group has no attribute 'format'"):
        open_dataset(tmp_path / "own")
    zarr.create_group(str(tmp_path / "other"), zarr_format=3, attributes={"format": "curator-atom"})
    with pytest.raises(UnknownNameError, match=r"other: Unknown dataset format 'curator-atom'\. Known: curator-atoms"):
        open_dataset(tmp_path / "other")
    copy = shutil.copytree(dataset, tmp_path / "copy")
    described = json.loads((copy / "zarr.json").read_text())
    described["attributes"]["format_version"] = 99
    (copy / "zarr.json").write_text(json.dumps(described))
    with pytest.raises(ComponentError, match="copy has format version 99, this version of curator reads"):
        open_dataset(copy)


def test_a_domain_of_another_package_registers_its_own(tmp_path):
    """By the format that its sink writes."""
    zarr.create_group(str(tmp_path / "d"), zarr_format=3, attributes={"format": "readings"})
    with openers.restored():

        @register_opener("readings")
        class Readings(DatasetOpener):
            @classmethod
            def open(cls, path):
                return f"readings of {path.name}"

        assert open_dataset(tmp_path / "d") == "readings of d"
