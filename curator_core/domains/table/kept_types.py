"""Types of the columns of files, kept between runs: a file that did not change isn't read for them again."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from curator_core.domains.table.written import schema_of_text, schema_text
from curator_core.errors import ConfigError, OutputError
from curator_core.pipeline.config import config_hash
from curator_core.storage.atomic import publish_text
from curator_core.storage.places import cache_directory

logger = logging.getLogger("curator")

_FORMAT: Final = 3
"""Of the file, and of how types are found: raised when other types would be."""
_KEPT_S: Final = 180 * 86_400
"""How long those of another configuration are kept after something changed."""


class KeptTypes:
    """Names and types of the columns of files, by key and fingerprint, in a file of the folder of databases.

    One that is damaged, or cannot be written, is as if there were none: types are found anew. Of processes that write
    at once the last one wins.

    Parameters
    ----------
    identity
        What types depend on beside the files, as JSON: another one has another file.
    """

    def __init__(self, identity: Any) -> None:  # noqa: ANN401 - any JSON
        whole = {"format": _FORMAT, "pyarrow": pa.__version__, "of": identity}
        self._name = f"{config_hash(whole)[:32]}.json"
        self._before = self._read()
        self._now: dict[str, tuple[str, pa.Schema]] = {}

    @property
    def _path(self) -> Path:
        return cache_directory() / "types" / self._name

    def get(self, key: str, fingerprint: str | None) -> pa.Schema | None:
        """The schema of a file, if it was found when its fingerprint was the same."""
        found = self._now.get(key) or self._before.get(key)
        if found is None or fingerprint is None or found[0] != fingerprint:
            return None
        self._now[key] = found
        return found[1]

    def add(self, key: str, fingerprint: str, schema: pa.Schema) -> None:
        """Remember the schema of a file."""
        self._now[key] = (fingerprint, schema)

    def save(self) -> None:
        """Write those that were asked for or added, if they are others than before."""
        if {key: each[0] for key, each in self._now.items()} == {key: each[0] for key, each in self._before.items()}:
            return
        texts = {key: schema_text(schema) for key, (_, schema) in self._now.items()}
        schemas = {text: number for number, text in enumerate(dict.fromkeys(texts.values()))}
        files = {key: [fingerprint, schemas[texts[key]]] for key, (fingerprint, _) in self._now.items()}
        content = json.dumps({"schemas": list(schemas), "files": files})
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            publish_text(json.dumps({"hash": config_hash(content), "content": content}), self._path)
            for other in self._path.parent.glob("*.json"):
                if time.time() - other.stat().st_mtime > _KEPT_S:
                    other.unlink(missing_ok=True)
        except (OSError, OutputError, ConfigError) as exc:
            logger.debug("Types of columns are not kept: %s", exc)

    def _read(self) -> dict[str, tuple[str, pa.Schema]]:
        try:
            said = json.loads(self._path.read_text(encoding="utf-8"))
            if said["hash"] != config_hash(said["content"]):
                return {}
            content = json.loads(said["content"])
            schemas = [schema_of_text(text) for text in content["schemas"]]
            return {key: (str(found), schemas[number]) for key, (found, number) in content["files"].items()}
        except (OSError, ValueError, LookupError, TypeError, ConfigError, pa.ArrowException):
            return {}
