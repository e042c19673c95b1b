"""An object store for the tests of this folder."""

from __future__ import annotations

import uuid

import pytest

from benchmarks.object_server import BUCKET


@pytest.fixture
def store(object_store_server, monkeypatch, tmp_path):
    """The server, with the environment set up for it, and work folders of the test."""
    for name, value in object_store_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CURATOR_WORK_DIR", str(tmp_path / "work"))
    object_store_server.counts()
    return object_store_server


@pytest.fixture
def url(store):
    """URL of an empty folder."""
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture(params=["local", pytest.param("bucket", marks=pytest.mark.campaign)])
def place(request, tmp_path):
    """Name of a repository that is not there yet."""
    if request.param == "bucket":
        return f"{request.getfixturevalue('url')}/d.icechunk"
    return str(tmp_path / "out" / "d.icechunk")
