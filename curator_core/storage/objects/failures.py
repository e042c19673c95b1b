"""What an error of an object store means, in a sentence that holds no secret."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from curator_core.errors import CuratorError, ObjectStoreError
from curator_core.redaction import Redactor, without_known
from curator_core.storage.objects import stores

_SECRETS: Final = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_CLIENT_SECRET",
    "GOOGLE_SERVICE_ACCOUNT_KEY",
)
"""Variables of the environment whose values no message shows."""

_MEANINGS: Final = {
    "NoSuchBucket|ContainerNotFound|bucket does not exist": (
        "there is no bucket {bucket!r}: make it, or correct the URL"
    ),
    r"169\.254\.169\.254|no providers in chain|CredentialsNotLoaded|metadata\.google": (
        "no credentials were found: {set}"
    ),
    "InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|ExpiredToken|AuthenticationFailed|Unauthenticated|401 Una": (
        "the credentials are refused: {set}"
    ),
    "AccessDenied|AuthorizationFailure|403 Forbidden|PermissionDenied": (
        "access is denied: see that the credentials are right, and may list, read and write there"
    ),
    "NoSuchKey|BlobNotFound|The specified (key|blob) does not exist": (
        "an object of it is missing: somebody removed it, or a rule of the bucket that expires objects"
    ),
    r"SlowDown|ServiceUnavailable|InternalError|Too Many Requests|status code: (429|5\d\d)|unhandled error \(50\d": (
        "the service does not answer properly, after {tries} tries: do it again later"
    ),
    "dispatch failure|Connection refused|sending request|connection (closed|error|reset)|timed? ?out|dns error": (
        "the service{at} cannot be reached, after {tries} tries: see the network and the endpoint, and do it again"
    ),
    "streaming error|incomplete ?message|error decoding response body|response body error": (
        "the connection to the service{at} was lost, after {tries} tries: do it again"
    ),
    "service error": "the service{at} refuses, or does not answer properly: see what it reports, and do it again",
}
"""What is said where the text of an error matches, the first that does."""
_SETTINGS: Final = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Within, the place that a URL names is read or written.

    Raises
    ------
    ObjectStoreError
        It cannot be; the message says why in a sentence. The library's own error, which may hold anything, is left out.
    """
    try:
        yield
    except CuratorError:
        raise
    except Exception as exc:
        if isinstance(exc, FileNotFoundError) and "NoSuchBucket" not in str(exc):
            raise
        if not type(exc).__module__.startswith(("icechunk", "obstore", "_obstore")) and not isinstance(exc, OSError):
            raise
        why = meaning(str(exc), url)
        raise ObjectStoreError(f"{url} cannot be used: {why}.", file=url, reason=why) from None


def meaning(text: str, url: str) -> str:
    """What the text of an error says about a place."""
    scheme, _, rest = url.partition("://")
    service = stores.endpoint(scheme)
    for pattern, said in _MEANINGS.items():
        if re.search(pattern, text, re.IGNORECASE):
            return said.format(
                bucket=rest.partition("/")[0],
                set=_SETTINGS.get(scheme, "see the environment"),
                tries=stores.TRIES,
                at=f" at {service}" if service else "",
            )
    return without_secrets(_first_line(text))


def without_secrets(text: str) -> str:
    """The text without what the environment holds of credentials, and those that were given."""
    own = [os.environ[name] for name in _SECRETS if os.environ.get(name)]
    return Redactor([*own, *stores.given_secrets()])(without_known(text))


def _first_line(text: str) -> str:
    """The line that names the cause: the last one that is pointed at, else the first."""
    lines = [line.strip(" |`x->") for line in text.splitlines() if line.strip(" |`x->")]
    pointed = [line.strip(" |`->") for line in text.splitlines() if "->" in line]
    return (pointed or lines or ["it says nothing"])[-1 if pointed else 0].rstrip(".")
