"""A place that knows no rename, as object stores do: objects by hash, and an index of them that is put whole."""

from __future__ import annotations

import hashlib
import json
import shutil
import zlib
from pathlib import Path

from curator_core.errors import ConfigError
from curator_core.storage.atomic import publish_text
from curator_core.storage.base import OutputLocation
from curator_core.storage.locations import register_location


@register_location
class VaultLocation(OutputLocation):
    """``vault:///data/name``: objects in the folder ``/data``, shards in ``/data.work``."""

    scheme = "vault"

    @property
    def _index(self):
        return Path(self.path.removeprefix("vault://"))

    @property
    def work_path(self):
        return self._index.parent.with_suffix(".work") / self._index.name

    def check(self, what):
        if not self._index.parent.is_dir():
            raise ConfigError(f"{what} {self.path!r}: there is no such vault.")

    def _read(self):
        return json.loads(self._index.read_text()) if self.exists() else {}

    def exists(self):
        return self._index.exists()

    def objects(self):
        return {name: self._blob(digest).stat().st_size for name, digest in sorted(self._read().items())}

    def read(self, name=""):
        found = self._read()
        if name not in found:
            raise FileNotFoundError(name)
        return self._blob(found[name]).read_bytes()

    def modified_ns(self):
        return self._index.stat().st_mtime_ns

    def mark(self, begun_ns):
        return zlib.crc32(self._index.read_bytes()) if self.exists() else None

    def is_as_written(self, mark):
        return self.exists() and mark in (None, self.mark(0))

    def keep(self, name, staged):
        content = self.read(name)
        staged.parent.mkdir(parents=True, exist_ok=True)
        staged.write_bytes(content)

    def publish(self, staged):
        files = [file for file in staged.rglob("*") if file.is_file()] if staged.is_dir() else [staged]
        index = {}
        for file in files:
            name = "" if file == staged else file.relative_to(staged).as_posix()
            digest = index[name] = hashlib.sha256(file.read_bytes()).hexdigest()
            shutil.copy(file, self._blob(digest))
        publish_text(json.dumps(index), self._index)

    def _blob(self, digest):
        return self._index.with_name(f".{digest}")

    def remove(self):
        self._index.unlink(missing_ok=True)

    def recover(self):
        """Nothing is ever half done."""
