"""A process that fills a cache of downloads: prints what it downloads, and waits where it is asked to."""

from __future__ import annotations

import sys
from pathlib import Path

from curator_core.storage.downloads import Downloads, RemoteFile

SIZE = 1000


def content_of(number: int) -> bytes:
    return bytes([number]) * SIZE


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def fill(folder: str, limit: int, numbers: list[int], mode: str) -> None:
    cache = Downloads(Path(folder), limit)
    for number in numbers:

        def fetch(target, number=number):
            say(f"fetches {number}")
            if mode == "hang":
                target.write(content_of(number)[:400])
                target.flush()
                say("half")
                sys.stdin.readline()
            target.write(content_of(number))

        with cache.opened(RemoteFile(f"s3://b/{number}.bin", f"{SIZE}-etag", SIZE), fetch) as path:
            assert path.read_bytes() == content_of(number)
            if mode == "hold":
                say("holds")
                sys.stdin.readline()
                assert path.read_bytes() == content_of(number)


if __name__ == "__main__":
    fill(sys.argv[1], int(sys.argv[2]), [int(text) for text in sys.argv[3].split(",")], sys.argv[4])
