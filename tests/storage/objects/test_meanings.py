"""What the texts of a library's errors say about a place."""

import pytest

pytest.importorskip("obstore")

from curator_core.storage.objects.failures import meaning

_LOST = "error getting object from object store service error\n-> NoSuchKey: The specified key does not exist."


@pytest.mark.parametrize("text", [_LOST, "BlobNotFound: gone", "service error: The specified blob does not exist."])
def test_an_object_that_somebody_removed(text):
    """The service answers properly."""
    assert "an object of it is missing" in meaning(text, "s3://bucket/data.icechunk")


def test_a_bucket_that_is_not_there():
    """It is said before that an object is missing."""
    text = "NoSuchBucket: The specified bucket does not exist, nor NoSuchKey"
    assert "there is no bucket 'bucket'" in meaning(text, "s3://bucket/data.icechunk")
