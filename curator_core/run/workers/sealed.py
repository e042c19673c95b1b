"""What a run leaves in a file for its workers: unreadable without a key that is in no file, and nobody else's."""

from __future__ import annotations

import hashlib
import hmac
import os
import pickle
import secrets
from pathlib import Path

from curator_core.errors import WorkerDiedError

_DIGEST = hashlib.sha256
_NONCE_BYTES = 32


def new_key() -> bytes:
    """A key for `seal`."""
    return secrets.token_bytes(32)


def seal(path: Path, content: object, key: bytes | None = None) -> bytes:
    """Write an object for workers; the key that opens it, a new one by default.

    The key travels with the tasks. A run that is killed leaves a file that does not show the parameters marked
    secret, and no worker unpickles what another user put in its place.
    """
    key = new_key() if key is None else key
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(sealed(content, key))
    return key


def unseal(path: Path, key: bytes) -> object:
    """The object that `seal` wrote.

    Raises
    ------
    WorkerDiedError
        The file is not what the coordinator wrote.
    """
    return opened(path.read_bytes(), key, path)


def sealed(content: object, key: bytes) -> bytes:
    """An object as bytes that show nothing of it."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    hidden = _mixed(pickle.dumps(content), key, nonce)
    return nonce + hmac.digest(key, nonce + hidden, _DIGEST) + hidden


def opened(found: bytes, key: bytes, path: Path) -> object:
    """The object that `sealed` hid, which was found in a file.

    Raises
    ------
    WorkerDiedError
        It was sealed with another key, or changed since.
    """
    size = _DIGEST().digest_size
    nonce, tag, hidden = found[:_NONCE_BYTES], found[_NONCE_BYTES : _NONCE_BYTES + size], found[_NONCE_BYTES + size :]
    if not hmac.compare_digest(tag, hmac.digest(key, nonce + hidden, _DIGEST)):
        raise WorkerDiedError(f"{path} is not what this run wrote: it was changed by somebody else.")
    return pickle.loads(_mixed(hidden, key, nonce))  # noqa: S301 - just found to be this run's


def _mixed(content: bytes, key: bytes, nonce: bytes) -> bytes:
    """Exclusive or with a stream that the key and the nonce give (SHAKE-256)."""
    stream = hashlib.shake_256(b"curator" + key + nonce).digest(len(content))
    mixed = int.from_bytes(content, "big") ^ int.from_bytes(stream, "big")
    return mixed.to_bytes(len(content), "big")
