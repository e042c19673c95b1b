"""Shard files and metadata: what zarr reads, byte for byte what zarr writes, and damage."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

zarr = pytest.importorskip("zarr")
from zarr.codecs import ZstdCodec  # noqa: E402 - needs zarr

from curator_core.formats.arrays import TEXT, ArraySpec, fill_value  # noqa: E402 - as above
from curator_core.formats.shard_files import DAMAGED, ShardCodec  # noqa: E402 - as above
from curator_core.formats.zarr_metadata import chunk_key, sharded_array, write_hierarchy  # noqa: E402 - as above

TYPES = ["bool", "int8", "uint16", "int64", "float16", "float32", "float64", "complex64", "complex128", TEXT]


def _values(dtype, n_rows, row_shape):
    random = np.random.default_rng(n_rows)
    if dtype == TEXT:
        values = np.empty(n_rows, object)
        values[:] = [f"é{i}" * int(random.integers(0, 4)) for i in range(n_rows)]
        return values
    return (random.random((n_rows, *row_shape)) * 100).astype(dtype)


def _by_zarr(path, spec, values, codec, n_shards):
    """The array as zarr itself writes it."""
    array = zarr.create_group(str(path)).create_array(
        spec.name,
        shape=(n_shards * codec.shard_rows, *spec.row_shape),
        chunks=(codec.chunk_rows, *spec.row_shape),
        shards=(codec.shard_rows, *spec.row_shape),
        dtype=spec.dtype,
        compressors=ZstdCodec(level=1),
        fill_value=fill_value(spec.dtype),
        dimension_names=spec.dims,
        config={"write_empty_chunks": True},
    )
    whole = -(-len(values) // codec.chunk_rows) * codec.chunk_rows
    padded = np.full((whole, *spec.row_shape), fill_value(spec.dtype), object if spec.is_text else spec.dtype)
    padded[: len(values)] = values
    array[:whole] = padded
    return path / spec.name


@pytest.mark.parametrize("dtype", TYPES)
def test_files_are_those_that_zarr_writes(tmp_path, dtype):
    """Of every type and shape, with a last chunk and a last file that are not full; the metadata say the same."""
    for n_rows, row_shape in [(1, ()), (12, ()), (13, ()), *([(5, (3,)), (11, (3, 2))] if dtype != TEXT else [])]:
        spec = ArraySpec("a", dtype, ("row", "y", "z")[: 1 + len(row_shape)], row_shape)
        codec, values = ShardCodec(dtype, row_shape, 4, 12), _values(dtype, n_rows, row_shape)
        files = list(codec.encode(values))
        folder = _by_zarr(tmp_path / str(n_rows), spec, values, codec, len(files))
        for number, data in enumerate(files):
            assert data == (folder.parent / chunk_key(spec, number)).read_bytes()
            rows = values[number * 12 : (number + 1) * 12]
            np.testing.assert_array_equal(codec.decode(data, len(rows)), rows)
        expected = json.loads((folder / "zarr.json").read_text())
        if dtype in ("bool", "int8"):  # zarr leaves out the order of single bytes
            chunk_codecs = expected["codecs"][0]["configuration"]["codecs"]
            chunk_codecs[0] |= {"configuration": {"endian": "little"}}
        assert json.loads(json.dumps(sharded_array(spec, len(files) * 12, codec))) == expected


def test_a_hierarchy_is_opened_with_and_without_its_consolidated_metadata(tmp_path):
    """Groups above an array are made; types without a specification are no error."""
    specs = [ArraySpec("a/b/x", "float32", ("row",)), ArraySpec("t", "M8[s]", ("row",)), ArraySpec("u", "U4", ("row",))]
    arrays = {spec.name: sharded_array(spec, 8, ShardCodec(spec.dtype, (), 2, 4)) for spec in specs}
    write_hierarchy(tmp_path / "h", {"title": "é"}, arrays)
    for is_consolidated in (True, False):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            group = zarr.open_group(str(tmp_path / "h"), mode="r", use_consolidated=is_consolidated)
            assert group.attrs["title"] == "é"
            assert np.isnan(group["a/b/x"][:]).all()
            assert group["t"].dtype == np.dtype("M8[s]")
            assert group["u"].dtype == np.dtype("U4")


def test_damage_is_noticed():
    """A file that is cut off anywhere, or whose index was changed, gives no values."""
    codec, values = ShardCodec("float64", (), 4, 12), np.arange(12.0)
    (data,) = codec.encode(values)
    for n_bytes in range(0, len(data) - 1, 7):
        with pytest.raises(DAMAGED):
            codec.decode(data[:n_bytes], 12)
    for position in range(len(data) - 52, len(data)):
        changed = bytearray(data)
        changed[position] ^= 1
        with pytest.raises(DAMAGED):
            codec.decode(bytes(changed), 12)
    (short,) = codec.encode(values[:4])
    with pytest.raises(ValueError, match="chunk 1 is missing"):
        codec.decode(short, 5)
