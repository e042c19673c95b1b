"""Repositories as places of outputs."""

from __future__ import annotations

import pytest

from curator_core.storage.objects.delta.location import DeltaLocation
from curator_core.storage.objects.location import IcechunkLocation
from curator_core.testing import LocationContract

pytestmark = pytest.mark.xdist_group("objects")  # one server


class TestLocalRepository(LocationContract):
    """A folder of this machine."""

    def make_location(self, tmp_path):
        return IcechunkLocation(str(tmp_path / "place" / "out.icechunk"))


class TestRepositoryInABucket(LocationContract):
    """On a server."""

    @pytest.fixture(autouse=True)
    def _bucket(self, url):
        self.url = url

    def make_location(self, tmp_path):
        return IcechunkLocation(f"{self.url}/out.icechunk")


class TestLocalDeltaTable(LocationContract):
    """A folder of this machine."""

    def make_location(self, tmp_path):
        return DeltaLocation(str(tmp_path / "place" / "out.delta"))


class TestDeltaTableInABucket(LocationContract):
    """On a server."""

    @pytest.fixture(autouse=True)
    def _bucket(self, url):
        self.url = url

    def make_location(self, tmp_path):
        return DeltaLocation(f"{self.url}/out.delta")
