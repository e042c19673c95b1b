"""Kinds of places, by the scheme of their URLs."""

from __future__ import annotations

from pathlib import Path

import pytest

from curator_core.errors import ConfigError, DuplicateNameError
from curator_core.storage.local import LocalLocation
from curator_core.storage.locations import location_of, register_location
from curator_core.testing import LocationContract
from tests.storage.vault import VaultLocation


class TestVault(LocationContract):
    """A kind of place that a package adds."""

    def make_location(self, tmp_path):
        (tmp_path / "vault").mkdir(exist_ok=True)
        return VaultLocation(f"vault://{tmp_path}/vault/out.zarr")


def test_paths_are_local():
    """Colons and slashes make no URL."""
    for path in ("out", "a:b/c", Path("/x/y.zarr")):
        location = location_of(path)
        assert type(location) is LocalLocation
        assert location.path == str(path)


@pytest.mark.parametrize("url", ["s3://b/x", "vaults://b/x", "file:///x", "gs:/b/x", "vault:/b/x", "~/x"])
def test_what_names_no_place_that_is_known(url):
    """It is refused, by its name and by what it was to be."""
    with pytest.raises(ConfigError, match=f"the statistics.*{url}"):
        location_of(url, "the statistics")


def test_a_scheme_has_one_kind_of_place():
    """The same class may come twice, as a module does that is run and imported."""
    assert register_location(VaultLocation) is VaultLocation
    with pytest.raises(DuplicateNameError, match="'vault' are VaultLocation already"):
        register_location(type("Other", (LocalLocation,), {"scheme": "vault"}))
    for scheme in ("", "file", "S3", "a"):
        with pytest.raises(ConfigError, match="no scheme"):
            register_location(type("Other", (LocalLocation,), {"scheme": scheme}))


def test_a_package_that_declares_a_kind_of_place(tmp_path, monkeypatch):
    """It is loaded when a URL of its scheme is met."""
    info = tmp_path / "drawers-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: drawers\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[curator.locations]\ndrawer = drawers:DrawerLocation\n")
    (tmp_path / "drawers.py").write_text(
        "from tests.storage.vault import VaultLocation\n\n\n"
        "class DrawerLocation(VaultLocation):\n    scheme = 'drawer'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert type(location_of("drawer:///x/out")).__name__ == "DrawerLocation"
