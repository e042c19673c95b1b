"""What is in a text file, as UTF-8 without a mark of its byte order: plain, gzip or zip."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from pathlib import Path

import pyarrow as pa

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def text_of(path: Path, encoding: str = "utf-8") -> pa.Buffer:
    """Content of a text file; one that is packed is recognised by its first bytes, whatever its name is.

    Raises
    ------
    ValueError
        It is empty, damaged, of another encoding, or a zip file of several files.
    """
    data = _unpacked(path)
    if encoding.lower().replace("_", "-") not in ("utf-8", "utf8"):
        data = pa.py_buffer(data.to_pybytes().decode(encoding).encode())
    start = data.slice(0, min(3, data.size)).to_pybytes()
    if start[:2] in _UTF16_MARKS:
        raise ValueError("it is UTF-16: say so with encoding='utf-16'")
    if start == _UTF8_MARK:
        data = data.slice(3)
    if not data.size:
        raise ValueError("it is empty")
    return data


def _unpacked(path: Path) -> pa.Buffer:
    with path.open("rb") as file:
        start = file.read(4)
    try:
        if start.startswith(_GZIP):
            with gzip.open(path) as packed:
                return pa.py_buffer(packed.read())
        if start.startswith(_ZIP):
            return pa.py_buffer(_only_member(path))
    except (EOFError, zlib.error, zipfile.BadZipFile) as exc:
        raise ValueError(f"it is cut off or damaged: {exc}") from exc
    if not start:
        raise ValueError("it is empty")
    return pa.py_buffer(path.read_bytes())  # not mapped: a file that shrinks meanwhile would end the process


def _only_member(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if not n.endswith("/") and not n.startswith(("__MACOSX/", "."))]
        if len(names) != 1:
            raise ValueError(f"it holds {len(names)} files ({', '.join(names[:5]) or 'none'}), not one: unpack it")
        return archive.read(names[0])
