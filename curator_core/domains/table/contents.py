"""What is in a text file, as UTF-8 without a mark of its byte order: plain or packed."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
import zlib
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa

from curator_core.errors import ConfigError

_ZIP = b"PK\x03\x04"
_BY_ARROW = MappingProxyType({b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4"})
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def checked_encoding(encoding: str, where: str) -> str:
    """An encoding that Python has.

    Raises
    ------
    ConfigError
        It has no such one.
    """
    try:
        "".encode(encoding)
    except LookupError:
        raise ConfigError(f"{where}: Python has no encoding {encoding!r}.") from None
    return encoding


def text_of(path: Path, encoding: str = "utf-8") -> pa.Buffer:
    """Content of a text file; one that is packed is recognised by its first bytes, whatever its name is.

    Raises
    ------
    ValueError
        It is empty, damaged, no text, of another encoding, or a zip file of several files.
    """
    data = _unpacked(path)
    if encoding.lower().replace("_", "-") not in ("utf-8", "utf8"):
        data = data.decode(encoding).encode()
    if data[:2] in _UTF16_MARKS:
        raise ValueError("it is UTF-16: say so with encoding='utf-16'")
    at = data.find(0)
    if at >= 0:
        raise ValueError(
            f"it holds a byte of zeros, first at byte {at:,}: it is no text, is of another encoding such as "
            "encoding='utf-16-le', or was never written to its end"
        )
    text = pa.py_buffer(data)  # not mapped: a file that shrinks meanwhile would end the process
    if data.startswith(_UTF8_MARK):
        text = text.slice(len(_UTF8_MARK))
    if not text.size:
        raise ValueError("it is empty")
    return text


def _unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    if data.startswith(_ZIP):
        return _only_member(path)
    try:
        if data.startswith(b"\x1f\x8b"):
            return gzip.decompress(data)
        if data.startswith(b"BZh") and data[4:10] == b"1AY&SY":
            return bz2.decompress(data)
        if data.startswith(b"\xfd7zXZ\0"):
            return lzma.decompress(data)
        if data[:4] in _BY_ARROW:
            with pa.CompressedInputStream(pa.BufferReader(data), _BY_ARROW[data[:4]]) as packed:
                found: bytes = packed.read()
                return found
    except (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError) as exc:
        raise ValueError(f"it is cut off or damaged: {exc}") from exc
    return data


def _only_member(path: Path) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if not n.endswith("/") and not n.startswith(("__MACOSX/", "."))]
            if len(names) == 1:
                return archive.read(names[0])
    except (EOFError, zlib.error, zipfile.BadZipFile) as exc:
        raise ValueError(f"it is cut off or damaged: {exc}") from exc
    raise ValueError(f"it holds {len(names)} files ({', '.join(names[:5]) or 'none'}), not one: unpack it")
