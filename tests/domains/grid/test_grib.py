"""Grids from GRIB files that the tests write themselves, compared with cfgrib where it is right."""

from __future__ import annotations

import re
import struct

import eccodes
import numpy as np
import pytest
import xarray as xr

from curator_core import run_pipeline
from curator_core.domains.grid import GRIBSource, GridZarrSink, slot_status
from curator_core.domains.grid.decoding import DecodingError
from curator_core.domains.grid.grib.boxes import boxes, slots_of
from curator_core.domains.grid.grib.messages import FileContent, fields
from curator_core.domains.grid.times import label
from curator_core.errors import ComponentError, ConfigError, RunFailed
from curator_core.testing import SourceContract

N_LATITUDES, N_LONGITUDES = 5, 8
GRID = {
    "Ni": N_LONGITUDES,
    "Nj": N_LATITUDES,
    "latitudeOfFirstGridPointInDegrees": 60,
    "latitudeOfLastGridPointInDegrees": 40,
    "longitudeOfLastGridPointInDegrees": 35,
    "iDirectionIncrementInDegrees": 5,
    "jDirectionIncrementInDegrees": 5,
}


def message(edition=2, missing=(), **keys):
    """A message of a temperature on a small grid; values differ by keys."""
    handle = eccodes.codes_grib_new_from_samples(f"regular_ll_pl_grib{edition}")
    for key, value in {**GRID, "dataDate": 20010101, "dataTime": 0, "shortName": "t", **keys}.items():
        eccodes.codes_set(handle, key, value)
    values = np.random.default_rng(abs(hash(str(sorted(keys.items())))) % 2**32).normal(280, 9, keys.get("Ni", 8) * 5)
    if missing:
        eccodes.codes_set(handle, "bitmapPresent", 1)
        eccodes.codes_set(handle, "missingValue", 9999)
        values[list(missing)] = 9999
    eccodes.codes_set_values(handle, values)
    content = eccodes.codes_get_message(handle)
    eccodes.codes_release(handle)
    return content


@pytest.fixture
def source(tmp_path):
    """A source of one file with these messages."""

    def make(*messages, **arguments):
        (tmp_path / "a.grib").write_bytes(b"".join(messages))
        return GRIBSource(str(tmp_path), **arguments)

    return make


def values_of_library(content):
    """What the library says."""
    handle = eccodes.codes_new_from_message(content)
    try:
        return np.float32(eccodes.codes_get_values(handle)).reshape(N_LATITUDES, N_LONGITUDES)
    finally:
        eccodes.codes_release(handle)


@pytest.mark.parametrize("edition", [1, 2])
@pytest.mark.parametrize("bits", [0, 7, 12, 16, 24])
def test_values_are_those_of_the_library(source, edition, bits):
    """At the place of each, whatever the order of messages."""
    slots = [(time, level) for time in (0, 600, 1200) for level in (850, 500)]
    messages = {slot: message(edition, dataTime=slot[0], level=slot[1], bitsPerValue=bits) for slot in slots}
    (dataset,) = source(*(messages[slot] for slot in reversed(slots)))[0]
    assert dict(dataset.sizes) == {"time": 3, "isobaricInhPa": 2, "latitude": 5, "longitude": 8}
    t = dataset["t_isobaricInhPa"]
    assert (t.dtype, t.attrs["units"], t.attrs["standard_name"]) == (np.float32, "K", "air_temperature")
    assert dataset["isobaricInhPa"].values.tolist() == [500, 850]
    assert dataset["latitude"].values.tolist() == [60, 55, 50, 45, 40]
    assert label(dataset["time"].values[1], "standard") == "2001-01-01T06:00:00"
    for time, level in slots:
        found = t.values[time // 600, [500, 850].index(level)]
        np.testing.assert_array_equal(found, values_of_library(messages[time, level]))


def test_they_are_those_of_cfgrib(source, tmp_path):
    """With coordinates of time and place."""
    cfgrib = pytest.importorskip("cfgrib")
    messages = [message(dataTime=time, level=level) for time in (0, 1200) for level in (850, 500)]
    (dataset,) = source(*messages)[0]
    expected = cfgrib.open_dataset(str(tmp_path / "a.grib"), indexpath="").sortby("isobaricInhPa")
    np.testing.assert_array_equal(dataset["t_isobaricInhPa"].values, expected["t"].values)
    assert (dataset["time"].values.astype("M8[us]") == expected["time"].values).all()
    for name in ("latitude", "longitude", "isobaricInhPa"):
        np.testing.assert_array_equal(dataset[name].values, expected[name].values)


def test_variables_on_different_levels_are_all_there(source):
    """None is left out, and none gets values at levels that it has not."""
    messages = [message(shortName="u", level=level) for level in (1000, 850, 700, 500, 300)]
    messages += [message(shortName="v", level=level) for level in (850, 500, 300)]
    datasets = list(source(*messages)[0])
    sizes = {name: d[name].sizes["isobaricInhPa"] for d in datasets for name in d.data_vars}
    assert sizes == {"u_isobaricInhPa": 5, "v_isobaricInhPa": 3}
    assert not any(np.isnan(v.values).any() for d in datasets for v in d.data_vars.values())


def test_boxes_of_an_item_become_one_dataset(source, tmp_path):
    """Which has every field at its place, and nothing where the file has none."""
    levels = {"u": (1000, 850, 500), "v": (850, 500)}
    times = (0, 1200)
    messages = [message(shortName=n, level=v, dataTime=t) for n, found in levels.items() for v in found for t in times]
    run_pipeline(source(*messages).write(GridZarrSink(str(tmp_path / "winds.zarr"))), progress=False, gather=True)
    with xr.open_zarr(tmp_path / "winds.zarr") as dataset:
        assert dict(dataset.sizes) == {"time": 2, "isobaricInhPa": 3, "latitude": 5, "longitude": 8}
        for name, own in levels.items():
            for level in levels["u"]:
                found = dataset[f"{name}_isobaricInhPa"].sel(isobaricInhPa=level)
                if level in own:
                    expected = [values_of_library(message(shortName=name, level=level, dataTime=t)) for t in times]
                    np.testing.assert_array_equal(found.values, expected)
                else:
                    assert np.isnan(found.values).all()


def test_sparse_fields_stay_sparse(source):
    """Every field is somewhere, and nothing else."""
    slots = [(time, step) for time in (0, 1200) for step in (6, 12, 18) if (time, step) != (1200, 12)]
    messages = [message(dataTime=time, step=step) for time, step in slots]
    datasets = list(source(*messages)[0])
    found = [
        (label(t, "standard")[11:13], int(lead) // 3600)
        for d in datasets
        for t in d["time"].values
        for lead in np.atleast_1d(d["lead_time"].values)
    ]
    assert sorted(found) == [("00", 6), ("00", 12), ("00", 18), ("12", 6), ("12", 18)]
    assert sum(d["t_isobaricInhPa"].size for d in datasets) == 5 * N_LATITUDES * N_LONGITUDES


def test_kinds_of_level_and_step_and_grids_are_variables(source):
    """A file with all of them opens as a whole."""
    messages = [
        message(level=500),
        message(typeOfLevel="heightAboveGround", level=80, shortName="u"),
        message(typeOfLevel="surface", level=0, shortName="sp"),
        message(typeOfLevel="hybrid", level=3),
        message(typeOfLevel="heightAboveGround", level=2, shortName="2t"),
    ]
    names = [name for dataset in source(*messages)[0] for name in dataset.data_vars]
    assert sorted(names) == ["sp", "t2m", "t_hybrid", "t_isobaricInhPa", "u_80m"]


def test_members(source):
    """Of an ensemble; a field that is none has no such dimension."""
    ensemble = {"productDefinitionTemplateNumber": 1, "numberOfForecastsInEnsemble": 3}
    (dataset,) = source(*(message(**ensemble, perturbationNumber=member) for member in range(3)))[0]
    assert dataset["number"].values.tolist() == [0, 1, 2]
    assert dataset["t_isobaricInhPa"].dims[:2] == ("number", "time")
    (single,) = source(message())[0]
    assert "number" not in single.variables


def test_what_a_bitmap_leaves_out_is_missing(source):
    """And nothing else."""
    (dataset,) = source(message(missing=(0, 39)))[0]
    assert np.flatnonzero(np.isnan(dataset["t_isobaricInhPa"].values)).tolist() == [0, 39]


@pytest.mark.parametrize("edition", [1, 2])
def test_what_a_bitmap_leaves_out_of_a_reduced_grid_is_missing(source, edition):
    """Its points are all there, though the message has fewer values."""
    handle = eccodes.codes_grib_new_from_samples(f"reduced_gg_pl_32_grib{edition}")
    values = np.random.default_rng(1).normal(280, 9, eccodes.codes_get(handle, "numberOfDataPoints"))
    values[5:500] = 9999
    eccodes.codes_set(handle, "bitmapPresent", 1)
    eccodes.codes_set(handle, "missingValue", 9999)
    eccodes.codes_set_values(handle, values)
    (dataset,) = source(eccodes.codes_get_message(handle))[0]
    eccodes.codes_release(handle)
    found = dataset["t_isobaricInhPa"].values.ravel()
    assert np.flatnonzero(np.isnan(found)).tolist() == list(range(5, 500))
    assert dataset["latitude"].size == found.size == len(values)
    np.testing.assert_allclose(found[500:], values[500:], atol=0.01)


def test_ieee_numbers_keep_their_precision(source):
    """64 bits, behind a field of the same kind that has 32."""
    handle = eccodes.codes_new_from_message(message(packingType="grid_ieee"))
    eccodes.codes_set(handle, "precision", 2)
    eccodes.codes_set(handle, "dataTime", 600)
    values = 1e5 + np.linspace(0, 1e-3, 40)
    eccodes.codes_set_values(handle, values)
    wide = eccodes.codes_get_message(handle)
    eccodes.codes_release(handle)
    (dataset,) = source(message(packingType="grid_ieee"), wide)[0]
    np.testing.assert_array_equal(dataset["t_isobaricInhPa"].values[1].ravel(), values)


def test_constant_fields_are_those_of_the_library(source):
    """Their reference value is not scaled, also behind one without a decimal scale."""
    fields = [_constant(message(dataTime=100 * scale, bitsPerValue=0), scale) for scale in (0, 2)]
    (dataset,) = source(*fields)[0]
    for values, content in zip(dataset["t_isobaricInhPa"].values[:, 0], fields, strict=True):
        np.testing.assert_array_equal(values, values_of_library(content))


def _constant(content, decimal_scale):
    """A message of 273.5 at every place."""
    at = 16
    while content[at + 4] != 5:
        at += int.from_bytes(content[at : at + 4], "big")
    numbers = struct.pack(">fHHB", 273.5, 0, decimal_scale, 0)
    return content[: at + 11] + numbers + content[at + 20 :]


@pytest.mark.parametrize(
    ("kinds", "names"),
    [
        ([{"productDefinitionTemplateNumber": 2, "derivedForecast": n} for n in (0, 4)], ["ens_mean", "ens_spread"]),
        ([{"productDefinitionTemplateNumber": 6, "percentileValue": n} for n in (10, 90)], ["p10", "p90"]),
        (
            [
                {"productDefinitionTemplateNumber": 5, "probabilityType": 1, "scaleFactorOfUpperLimit": 1,
                 "scaledValueOfUpperLimit": n} for n in (-5, 20)
            ],
            ["probability1_lower0_upperminus0p5", "probability1_lower0_upper2"],
        ),
    ],
)  # fmt: skip
def test_what_is_derived_of_a_parameter_is_no_value_of_it(source, kinds, names):
    """Mean and spread of members, percentiles and probabilities are variables of their own, also at different times."""
    messages = [message(dataTime=600 * number, **kind) for number, kind in enumerate(kinds)]
    found = {name: variable.values for dataset in source(*messages)[0] for name, variable in dataset.items()}
    assert list(found) == [f"t_isobaricInhPa_{name}" for name in names]
    for values, content in zip(found.values(), messages, strict=True):
        np.testing.assert_array_equal(values[0, 0], values_of_library(content))


def test_constituents_without_names_are_apart(source):
    """By the number of what they are."""
    kinds = [{"productDefinitionTemplateNumber": 40, "constituentType": number} for number in (62001, 62002)]
    numbers = {"parameterCategory": 20, "parameterNumber": 210}
    messages = [message(**kind, **numbers, dataTime=n * 600) for n, kind in enumerate(kinds)]
    names = [name for dataset in source(*messages)[0] for name in dataset]
    assert names == [f"parameter_0_20_210_isobaricInhPa_constituent{n}" for n in (62001, 62002)]


def test_parameters_of_any_constituent_are_named_by_it(source):
    """And by the wavelength."""
    kinds = [{"productDefinitionTemplateNumber": 40, "parameterNumber": 2, "constituentType": 4}]
    optical = {"productDefinitionTemplateNumber": 48, "parameterNumber": 102, "constituentType": 62000}
    kinds += [{**optical, "scaleFactorOfFirstWavelength": 9, "scaledValueOfFirstWavelength": nm} for nm in (550, 800)]
    local = {"setLocalDefinition": 1, "localDefinitionNumber": 1, "class": "mc", "tablesVersion": 35}
    messages = [message(**local, parameterCategory=20, **kind) for kind in kinds]
    names = [name for dataset in source(*messages)[0] for name in dataset]
    levels = "isobaricInhPa"
    assert names == [f"mass_mixrat_{levels}_CO", *(f"aod_{levels}_aer_total_{nm}nm" for nm in (550, 800))]


def test_what_was_computed_of_an_area_is_part_of_the_name(source):
    """As the mean and maximum of turbulence around a point are."""
    kinds = [{"productDefinitionTemplateNumber": 15, "statisticalProcess": number} for number in (0, 2)]
    (dataset,) = source(*(message(**kind) for kind in kinds))[0]
    assert list(dataset.data_vars) == ["t_isobaricInhPa_area_mean", "t_isobaricInhPa_area_max"]


def test_spectra_of_waves_lie_along_their_directions_and_frequencies(source):
    """Each part at its place."""
    numbers = [(direction, frequency) for direction in (6, 12) for frequency in (1, 15, 29)]
    keys = {"tablesVersion": 30, "productDefinitionTemplateNumber": 99}
    parts = [{"waveDirectionNumber": direction, "waveFrequencyNumber": frequency} for direction, frequency in numbers]
    messages = [message(**{**keys, **part}) for part in parts]
    (dataset,) = source(*reversed(messages), message(shortName="u"))[0]
    found = dataset["t"].transpose("directionNumber", "frequencyNumber", ...)
    assert dataset["directionNumber"].values.tolist() == [6, 12]
    assert dataset["frequencyNumber"].values.tolist() == [1, 15, 29]
    assert "directionNumber" not in dataset["u_isobaricInhPa"].dims
    expected = np.array([values_of_library(content) for content in messages])
    np.testing.assert_array_equal(found.values.reshape(expected.shape), expected)


def test_cells_without_places_do_not_stand_beside_those_of_another_grid(tmp_path):
    """As ICON has them: values in their order, and the number of the grid."""
    for name, number in (("a", 26), ("b", 27)):
        handle = eccodes.codes_grib_new_from_samples("regular_ll_pl_grib2")
        uuid = "a27b8de6188c11e4820ab5b098c6a5c0"
        keys = {"gridDefinitionTemplateNumber": 101, "numberOfDataPoints": 6, "numberOfGridUsed": number}
        for key, value in {**keys, "uuidOfHGrid": uuid, "dataDate": 20010100 + number, "shortName": "t"}.items():
            eccodes.codes_set(handle, key, value)
        eccodes.codes_set_values(handle, np.arange(6.0))
        (tmp_path / f"{name}.grib2").write_bytes(eccodes.codes_get_message(handle))
        eccodes.codes_release(handle)
    found = GRIBSource(str(tmp_path))
    (dataset,) = found[0]
    assert dataset["t_isobaricInhPa"].dims == ("time", "isobaricInhPa", "values")
    assert dataset["t_isobaricInhPa"].values.ravel().tolist() == [0, 1, 2, 3, 4, 5]
    assert dataset["grid"].item() == f"unstructured_grid {uuid} 26 0"
    assert "latitude" not in dataset.coords
    with pytest.raises(RunFailed, match="'grid'"):
        run_pipeline(found.write(GridZarrSink(str(tmp_path / "d.zarr"))), gather=True, progress=False)


def test_a_time_that_is_no_date_is_named(source):
    """With its message."""
    content = bytearray(message())
    content[12 + 16 : 14 + 16] = b"\0\0"
    with pytest.raises(ComponentError, match=r"message 2 at byte .*reference time, 00000101 0000, is no date"):
        list(source(message(level=850), bytes(content))[0])


def test_grids_that_do_not_lie_together_are_named(source, tmp_path):
    """With the way to curate each by itself."""
    found = source(
        message(), message(Ni=4, iDirectionIncrementInDegrees=10, longitudeOfLastGridPointInDegrees=30, shortName="u")
    )
    sink = GridZarrSink(str(tmp_path / "a.zarr"))
    with pytest.raises(RunFailed, match=r"'t_isobaricInhPa', 'u_isobaricInhPa', do not lie together: .* variables="):
        run_pipeline(found.write(sink), gather=True, progress=False)


def test_rows_that_alternate_are_turned(source):
    """Every other one; places are where they are."""
    straight = message()
    handle = eccodes.codes_new_from_message(straight)
    eccodes.codes_set(handle, "alternativeRowScanning", 1)
    (dataset,) = source(eccodes.codes_get_message(handle))[0]
    eccodes.codes_release(handle)
    expected = values_of_library(straight)
    expected[1::2] = expected[1::2, ::-1]
    np.testing.assert_array_equal(dataset["t_isobaricInhPa"].values[0, 0], expected)
    assert dataset["longitude"].values.tolist() == [0, 5, 10, 15, 20, 25, 30, 35]


def test_several_fields_in_one_message(source):
    """Edition 2 repeats sections; the library reads the first alone unless asked."""
    first, second = message(shortName="u"), message(shortName="v")
    merged = _merged(first, second)
    (dataset,) = source(merged)[0]
    assert list(dataset.data_vars) == ["u_isobaricInhPa", "v_isobaricInhPa"]
    np.testing.assert_array_equal(dataset["v_isobaricInhPa"].values[0, 0], values_of_library(second))


def _merged(first, second):
    """One message with the fields of two, which share time and grid."""
    parts = {}
    for name, content in (("first", first), ("second", second)):
        at, parts[name] = 16, {}
        while content[at : at + 4] != b"7777":
            length = int.from_bytes(content[at : at + 4], "big")
            parts[name][content[at + 4]] = content[at : at + length]
            at += length
    body = b"".join(parts["first"][kind] for kind in sorted(parts["first"]))
    body += b"".join(parts["second"][kind] for kind in (4, 5, 6, 7)) + b"7777"
    return first[:8] + (16 + len(body)).to_bytes(8, "big") + body


@pytest.mark.parametrize("edition", [1, 2])
def test_a_file_that_is_cut_off_fails(source, edition):
    """Wherever it ends, with the number of the message."""
    whole = message(edition) + message(edition, level=850)
    first = len(message(edition))
    for size in range(1, len(whole), 7):
        if size == first:
            continue
        number = 1 if size < first else 2
        with pytest.raises(ComponentError, match=rf"a\.grib: .*message {number} at byte .* cut off"):
            list(source(whole[:size])[0])


def test_a_damaged_message_fails_with_its_number(source):
    """Its length, its sections, what is between messages."""
    good = message()
    wrong = bytearray(message(level=850))
    wrong[15] += 1
    with pytest.raises(ComponentError, match=r"message 2 at byte .* is damaged"):
        list(source(good, bytes(wrong), good)[0])
    lost = b"\x17" * 3000
    with pytest.raises(ComponentError, match=r"after message 1, from byte .*, 3,000 bytes are no message"):
        list(source(good, lost, message(level=850))[0])
    headless = b"GRIP" + message(level=850)[4:]
    for content in ((good, headless), (headless, good)):
        with pytest.raises(ComponentError, match=r"from byte .* on, a message has no beginning: it is damaged"):
            list(source(*content)[0])
    with pytest.raises(ComponentError, match="holds no GRIB message"):
        list(source(b"something else")[0])
    with pytest.raises(ComponentError, match="it is empty"):
        list(source(b"")[0])
    bulletin = b"\1\r\r\n001\r\r\nHTXF50 ECMF 010000\r\r\n"
    assert len(list(source(bulletin, good, b"\r\r\n\3" + bytes(110), message(level=850))[0])) == 1


@pytest.mark.parametrize("edition", [1, 2])
def test_a_block_of_the_disk_that_is_lost_leaves_out_no_field(source, edition):
    """Each of 512 bytes in turn, and several, in messages with and without the padding of MARS."""
    messages = [message(edition, level=1 + level) for level in range(20)]
    assert len(messages[0]) < 512  # so that some are wholly in a block
    for padding in (1, 120, 512):
        whole = b"".join(content + bytes(-len(content) % padding) for content in messages)
        given = {} if padding == 1 else {"padding": padding}
        assert next(source(whole, **given)[0]).sizes["isobaricInhPa"] == 20
        for size in (512, 4096):
            for start in range(0, len(whole), size):
                damaged = whole[:start] + bytes(min(size, len(whole) - start)) + whole[start + size :]
                try:
                    (dataset,) = source(damaged, **given)[0]
                except ComponentError as exc:
                    assert re.search(r"a\.grib: .*(message|byte) \d", str(exc))  # noqa: PT017 - either is right
                else:
                    assert dataset.sizes["isobaricInhPa"] == 20
    with pytest.raises(ComponentError, match=r"after message 1, 512 bytes from byte .* hold nothing: more than"):
        list(source(messages[0], bytes(512), messages[1])[0])
    with pytest.raises(ConfigError, match="padding: 0 is no number of bytes"):
        source(padding=0)


@pytest.mark.parametrize("length", [0, 28])
def test_a_lost_definition_of_a_product_fails(source, length):
    """Zeros in place of the first section of edition 1, with its length or without."""
    good = message(1)
    with pytest.raises(ComponentError, match=r"message 2 at byte .* is damaged: its first section"):
        list(source(good, good[:8] + bytes([0, 0, length]) + bytes(25) + good[36:])[0])


def test_a_field_that_comes_twice_fails(source):
    """Both messages are named."""
    with pytest.raises(ComponentError, match=r"messages 1 and 3 are both 't_isobaricInhPa' of 2001-01-01T00:00:00"):
        list(source(message(), message(level=850), message())[0])
    local = {"setLocalDefinition": 1, "localDefinitionNumber": 1}
    versions = [message(**local, experimentVersionNumber=version) for version in ("0001", "0079")]
    with pytest.raises(ComponentError, match=r"keys=, where they differ: expver '0001', '0079'"):
        list(source(*versions)[0])


def test_a_file_that_shrinks_while_it_is_read_ends_no_process(tmp_path):
    """As it would if it were mapped into memory; of what was there, messages lie across what is read at once."""
    one = message(Ni=4000)
    path = tmp_path / "a.grib"
    path.write_bytes(one * 60)
    with path.open("rb") as file:
        found = [(field.offset, field.content) for field in fields(FileContent(file), 120)]
    assert found == [(number * len(one), one) for number in range(60)]
    with path.open("rb") as file:
        content = fields(FileContent(file), 120)
        next(content)
        path.write_bytes(one)
        with pytest.raises(DecodingError, match="it became shorter while it was read"):
            list(content)


def test_what_a_filter_drops_is_not_decoded(source):
    """The items stay those of the file, and one that lacks the variable fails."""
    both = source(
        message(), message(shortName="q"), message(shortName="q", dataDate=20010102), item="time", max_size=200
    )
    with pytest.raises(ComponentError, match="max_size allows"):
        list(both[0])
    narrowed = both.reading(["t_isobaricInhPa"])
    assert [narrowed.key(index) for index in range(len(narrowed))] == [both.key(0), both.key(1)]
    assert [list(dataset.data_vars) for dataset in narrowed[0]] == [["t_isobaricInhPa"]]
    with pytest.raises(ComponentError, match="no variable 't_isobaricInhPa'; it has q_isobaricInhPa"):
        list(narrowed[1])


def test_forecasts_of_several_lead_times_say_how_they_lie_together(source, tmp_path):
    """As monthly means, which are as far ahead as their month is long."""
    messages = [message(dataDate=20180101, step=744), message(dataDate=20180201, step=672)]
    with pytest.raises(RunFailed, match=r"layout='forecast', or by valid time with layout='time', and leads="):
        run_pipeline(source(*messages).write(GridZarrSink(str(tmp_path / "a.zarr"))), gather=True, progress=False)


def test_only_what_is_wanted(source):
    """By variable, and by keys of the library."""
    messages = [message(shortName=name, level=level) for name in ("t", "u") for level in (500, 850)]
    (dataset,) = source(*messages, variables=["u_isobaricInhPa"], keys={"level": [850, 1000]})[0]
    assert list(dataset.data_vars) == ["u_isobaricInhPa"]
    assert dataset["isobaricInhPa"].values.tolist() == [850]
    with pytest.raises(ComponentError, match="no variable 'w'; it has t_isobaricInhPa, u_isobaricInhPa"):
        list(source(*messages, variables=["w"])[0])
    with pytest.raises(ComponentError, match="none of its 4 fields has"):
        list(source(*messages, keys={"level": 10})[0])
    with pytest.raises(ComponentError, match=r"max_size allows 0\.0 GB"):
        list(source(*messages, max_size=100)[0])


def test_every_time_is_an_item(source):
    """Named after it."""
    by_time = source(*(message(dataTime=time) for time in (1200, 0)), item="time")
    assert [by_time.key(i) for i in range(2)] == ["a.grib#2001-01-01T00:00:00", "a.grib#2001-01-01T12:00:00"]
    (dataset,) = by_time[1]
    np.testing.assert_array_equal(dataset["t_isobaricInhPa"].values[0, 0], values_of_library(message(dataTime=1200)))


def test_boxes_cover_every_slot_once():
    """Of any set of slots, and nothing else."""
    random = np.random.default_rng(5)
    for _ in range(50):
        slots = {tuple(map(int, slot)) for slot in random.integers(0, 3, (random.integers(1, 20), 3))}
        covered = [slot for box in boxes(list(slots)) for slot in slots_of(box)]
        assert sorted(covered) == sorted(slots)
    assert len(list(boxes([(a, b) for a in range(3) for b in range(2)]))) == 1


class TestContract(SourceContract):
    def make_source(self, tmp_path):
        for level in (500, 850):
            path = tmp_path / f"{level}.grib"
            if not path.exists():
                path.write_bytes(message(level=level))
        return GRIBSource(str(tmp_path))

    def is_equal(self, first, second):
        return bool(first.identical(second))


@pytest.mark.parametrize("edition", [1, 2])
def test_provisional_fields_beside_final_ones(source, tmp_path, edition):
    """Of one variable in one file: the steps that will be replaced are marked, and no others."""
    local = {"setLocalDefinition": 1, "localDefinitionNumber": 1}
    messages = [
        message(edition, level=850, dataTime=time, shortName=name, **local, experimentVersionNumber=version)
        for name, versions in (("t", ("0001", "0001", "0005")), ("u", ("0001",) * 3))
        for time, version in zip((0, 600, 1200), versions, strict=True)
    ]
    path = tmp_path / "d.zarr"
    run_pipeline(source(*messages).write(GridZarrSink(str(path))), progress=False, gather=True)
    found = slot_status(path)
    states = {str(n): found["status"].sel(variable=n).values.tolist() for n in found["variable"].values}
    assert states["t_isobaricInhPa"] == [1, 1, 4]
    assert states["u_isobaricInhPa"] == [1, 1, 1]
    with xr.open_zarr(path) as dataset:
        assert dataset["t_isobaricInhPa_expver"].values.tolist() == ["0001", "0001", "0005"]
        assert "GRIB_expver" not in dataset["t_isobaricInhPa"].attrs
        assert dataset["u_isobaricInhPa"].attrs["GRIB_expver"] == "0001"
