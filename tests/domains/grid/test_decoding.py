"""Stored values are decoded as they are meant."""

from __future__ import annotations

from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr

from curator_core.domains.grid.decoding import DecodingError, Packing, text

F4 = np.float32


def decoded(values, attributes, **more):
    """Values of a variable, its type as promised before they were read."""
    stored = np.asarray(values)
    packing = Packing("v", stored.dtype, attributes, **more)
    found = packing.values(stored)
    assert found.dtype == packing.decoded
    return found


NAN = np.nan
CASES: dict[str, tuple[Any, dict[str, Any], Any]] = {
    "fill value": (np.int16([1, -9]), {"_FillValue": np.int16(-9)}, F4([1, NAN])),
    "both": (np.int16([1, -9, -8]), {"_FillValue": np.int16(-9), "missing_value": np.int16(-8)}, F4([1, NAN, NAN])),
    "several": (np.int32([1, 2, 3]), {"missing_value": np.int32([2, 3])}, np.array([1.0, NAN, NAN])),
    "of another type": (np.int16([1, -9]), {"missing_value": np.float64(-9.0)}, F4([1, NAN])),
    "text": (np.int32([1, -9]), {"missing_value": "-9"}, np.array([1.0, NAN])),
    "text of CDL": (F4([1, -9]), {"missing_value": "-9.f"}, F4([1, NAN])),
    "outside the type": (np.int32([1, 2]), {"missing_value": "-1.e+34f"}, np.array([1.0, 2.0])),
    "signed for unsigned": (np.uint8([1, 255]), {"missing_value": np.int32(-1)}, F4([1, NAN])),
    "no number": (np.int32([1, 2]), {"missing_value": "none"}, np.array([1.0, 2.0])),
    "NaN on integers": (np.int16([1, 2]), {"_FillValue": NAN}, F4([1, 2])),
    "NaN": (np.array([1.0, NAN]), {"_FillValue": NAN}, np.array([1.0, NAN])),
    "double on float": (F4([1, 1e20]), {"_FillValue": np.float64(1e20)}, F4([1, NAN])),
    "beyond float": (F4([1, 2]), {"missing_value": np.float64(1e300)}, F4([1, 2])),
    "scaled": (np.int16([1, 200]), {"scale_factor": F4(0.5), "add_offset": F4(1)}, F4([1.5, 101])),
    "scaled by double": (np.int16([1, 3]), {"scale_factor": 0.1}, np.array([1, 3]) * 0.1),
    "scaled by text": (np.int16([1, 3]), {"scale_factor": "0.5"}, np.array([0.5, 1.5])),
    "scaled by a list": (np.int16([1, 3]), {"scale_factor": F4([0.5])}, F4([0.5, 1.5])),
    "packed in 32 bits": (np.int32([2**24 + 1]), {"scale_factor": F4(1)}, np.array([2.0**24 + 1])),
    "unsigned": (np.int8([1, -1]), {"_Unsigned": "true"}, np.uint8([1, 255])),
    "unsigned, filled": (np.int8([1, -1]), {"_Unsigned": "true", "_FillValue": np.int8(-1)}, F4([1, NAN])),
    "unsigned, range": (
        np.int16([0, -6, -5]),
        {"_Unsigned": "true", "valid_range": np.int16([0, -6]), "scale_factor": F4(0.5)},
        F4([0, 32765, NAN]),
    ),
    "signed": (np.uint8([1, 255]), {"_Unsigned": "false"}, np.int8([1, -1])),
    "range": (np.int16([-1, 0, 9, 10]), {"valid_range": np.int16([0, 9])}, F4([NAN, 0, 9, NAN])),
    "least": (F4([0.05, 0.1]), {"valid_min": np.float64(0.1)}, F4([NAN, 0.1])),
    "most, text": (np.int32([2, 3]), {"valid_max": "2"}, np.array([2.0, NAN])),
    "range of packed": (
        np.int16([1, 100]),
        {"scale_factor": 0.1, "valid_range": np.int16([0, 50])},
        np.array([0.1, NAN]),
    ),
    "range of unpacked": (
        np.int16([1, 100]),
        {"scale_factor": 0.1, "valid_range": np.array([0.0, 5.0])},
        np.array([0.1, NAN]),
    ),
    "missing value of unpacked": (
        np.int16([1, -9990]),
        {"scale_factor": 0.1, "missing_value": np.float64(-99_999.0), "_FillValue": np.int16(-9990)},
        np.array([0.1, NAN]),
    ),
    "plain": (np.int64([2**60]), {}, np.int64([2**60])),
    "big-endian": (np.array([1, 2], ">i4"), {}, np.int32([1, 2])),
    "one number": (np.int16(3), {"scale_factor": 2.0}, np.float64(6)),
    "nothing": (np.zeros(0, np.int16), {"_FillValue": np.int16(1)}, np.zeros(0, np.float32)),
}


@pytest.mark.parametrize("case", CASES)
def test_values(case):
    """What is missing is NaN, what is packed is unpacked, in a type that follows from the attributes."""
    stored, attributes, expected = CASES[case]
    found = decoded(stored, attributes)
    assert found.dtype == np.asarray(expected).dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.filterwarnings("ignore:WARNING")  # netCDF4, of values that it does not use
def test_they_are_those_of_the_libraries(write_netcdf):
    """Of netCDF4, which knows valid ranges, and of xarray, where there are none."""
    of_ours = {"signed", "least", "scaled by text", "NaN on integers", "beyond float"}  # which netCDF4 does not use
    unlike = of_ours | {"one number", "nothing", "big-endian"}
    usual = {name: case for name, case in CASES.items() if name not in unlike}
    compared = 0
    for name, (stored, attributes, _) in usual.items():
        if np.asarray(attributes.get("_FillValue", stored)).dtype != stored.dtype:  # cannot be written
            continue
        path = write_netcdf({"v": (("x",), stored, attributes)}, f"{name}.nc")
        found = decoded(stored, attributes).astype(float)
        with netCDF4.Dataset(path) as file:
            masked = np.ma.asarray(file["v"][:]).astype(float)
        if "of unpacked" not in name and "text" not in name:
            np.testing.assert_allclose(np.ma.filled(masked, np.nan), found, rtol=1e-6, err_msg=name)
            compared += 1
        others = ("valid_range", "valid_min", "valid_max", "missing_value")
        if name != "packed in 32 bits" and not any(each in attributes for each in others):  # xarray rounds those
            with xr.open_dataset(path) as opened:
                np.testing.assert_array_equal(opened["v"].values.astype(float), found, err_msg=name)
                assert opened["v"].dtype == decoded(stored, attributes).dtype
    assert compared > 15


def test_coordinates_of_dimensions_have_no_valid_range():
    """A place is not missing, though a file's range leaves out the poles."""
    assert decoded([-90.0, 0.0], {"valid_min": -89.0}, is_coordinate=True).tolist() == [-90, 0]


def test_what_was_never_written():
    """It is NaN where values are floating-point numbers, and an error where integers have no NaN."""
    number = 9.969209968386869e36
    np.testing.assert_array_equal(decoded(F4([1, number]), {}, unwritten=number), F4([1, NAN]))
    packed = decoded(np.int16([1, -32767]), {"scale_factor": F4(2)}, unwritten=-32767)
    np.testing.assert_array_equal(packed, F4([2, NAN]))
    with pytest.raises(DecodingError, match=r"'v': 1 of 2 integers were never written.*fill_values=\{'v': -32767\}"):
        decoded(np.int16([1, -32767]), {}, unwritten=-32767)
    assert decoded(np.int32(-2147483647), {}, unwritten=-2147483647) == -2147483647  # only carries attributes


def test_integers_are_not_rounded():
    """Large ones beside a missing one would be."""
    with pytest.raises(DecodingError, match="too large to stand beside missing ones"):
        decoded(np.int64([2**53 + 1, -1]), {"_FillValue": np.int64(-1)})
    assert decoded(np.int64([2**53, -1]), {"_FillValue": np.int64(-1)})[0] == 2**53


@pytest.mark.parametrize("scale", ["much", F4([1, 2])])
def test_a_scale_that_is_no_number(scale):
    """It is an error, never 1."""
    with pytest.raises(DecodingError, match=r"its scale_factor .* no number|is not one number"):
        decoded(np.int16([1]), {"scale_factor": scale})


def test_characters_are_text():
    """In UTF-8, or else in Latin-1, along the last dimension, whose fill is taken off."""
    stored = np.array([list(b"f\xc3\xbcr\0"), list(b"f\xfcr\0\0"), [0] * 5], np.uint8).view("S1")
    assert text(stored).tolist() == ["für", "für", ""]
    assert text(np.array(b"x", "S1")).tolist() == "x"
    assert text(np.zeros((2, 0), "S1")).tolist() == ["", ""]
    assert text(np.zeros((0, 3), "S1")).shape == (0,)
