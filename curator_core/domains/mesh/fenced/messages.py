"""What reader processes are sent and send: JSON, and a file without a name that holds the arrays."""

from __future__ import annotations

import mmap
import os
import socket
import struct
import tempfile
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from curator_core.formats.arrays import Array

HEADER: Final = struct.Struct("=Q")
"""Length of the JSON that follows."""
_ALIGNMENT: Final = 64
_SMALL_BYTES: Final = 1 << 20
"""Arrays that are copied: a mapped file is a descriptor, of which a process may have a thousand."""
_MOST_AT_ONCE: Final = 1 << 30
"""Bytes of one call of write(2)."""


class Layout(NamedTuple):
    """Where an array lies in the file."""

    dtype: str
    """Of NumPy, with its byte order."""
    shape: Sequence[int]
    """Its shape."""
    start: int
    """Position of its first byte."""

    def view(self, buffer: mmap.mmap | bytearray) -> Array:
        """The array, in the memory of a buffer."""
        n_values = int(np.prod(self.shape, dtype=np.int64))
        if not n_values:
            return np.empty(tuple(self.shape), self.dtype)
        return np.frombuffer(buffer, self.dtype, n_values, self.start).reshape(self.shape)


def received(channel: socket.socket) -> tuple[bytes, int | None]:
    """The next message, and the file that came with it.

    Raises
    ------
    EOFError
        The other process ended.
    """
    header, descriptors, _, _ = socket.recv_fds(channel, HEADER.size, 1)
    descriptor = descriptors[0] if descriptors else None
    try:
        header += _exactly(channel, HEADER.size - len(header))
        return _exactly(channel, HEADER.unpack(header)[0]), descriptor
    except BaseException:
        if descriptor is not None:
            os.close(descriptor)
        raise


def _exactly(channel: socket.socket, length: int) -> bytes:
    content = bytearray()
    while len(content) < length:
        more = channel.recv(min(length - len(content), 1 << 20))
        if not more:
            raise EOFError
        content += more
    return bytes(content)


def send(channel: socket.socket, content: bytes, descriptor: int | None = None) -> None:
    """Send a message, and a file with it."""
    message = memoryview(HEADER.pack(len(content)) + content)  # as one, which wakes the other process once
    sent = 0 if descriptor is None else socket.send_fds(channel, [message], [descriptor])
    channel.sendall(message[sent:])


def written(arrays: Sequence[Array]) -> tuple[int | None, list[Layout]]:
    """Write arrays to a file without a name, in memory where the system can: its descriptor, and where they lie.

    Raises
    ------
    TypeError
        An array holds Python objects.
    """
    layouts, end = [], 0
    for array in arrays:
        if array.dtype.hasobject:
            raise TypeError(f"an array of {array.dtype} cannot be handed over")
        layouts.append(Layout(array.dtype.str, array.shape, end))
        end += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
    if not end:
        return None, layouts
    descriptor = _nameless()
    try:
        os.ftruncate(descriptor, end)
        for array, layout in zip(arrays, layouts, strict=True):
            _write(descriptor, memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data), layout.start)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, layouts


def _nameless() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("curator-arrays")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _write(descriptor: int, content: memoryview, start: int) -> None:
    done = 0
    while done < len(content):
        done += os.pwrite(descriptor, content[done : done + _MOST_AT_ONCE], start + done)


def mapped(descriptor: int | None) -> mmap.mmap | bytearray:
    """The memory of a file, which is closed: changes are not seen by the other process."""
    if descriptor is None:
        return bytearray()
    try:
        size = os.fstat(descriptor).st_size
        if size <= _SMALL_BYTES:
            return bytearray(os.pread(descriptor, size, 0))
        return mmap.mmap(descriptor, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    finally:
        os.close(descriptor)
