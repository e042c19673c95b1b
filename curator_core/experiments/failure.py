"""Why an experiment failed."""

from __future__ import annotations

import socket
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from curator_core.errors import ConfigError


@dataclass(frozen=True)
class Failure:
    """Why an experiment failed."""

    error: str
    """``"ErrorType: message"``."""

    traceback: str = ""
    started: str | None = None
    """ISO 8601, UTC."""

    ended: str | None = None
    host: str | None = None

    @classmethod
    def of(cls, error: BaseException | str, started: datetime | None = None) -> Failure:
        """The failure that has just happened in this process."""
        return cls(
            error if isinstance(error, str) else "".join(traceback.format_exception_only(error)).strip(),
            "" if isinstance(error, str) else "".join(traceback.format_exception(error)),
            started.astimezone(UTC).isoformat() if started else None,
            datetime.now(UTC).isoformat(),
            socket.gethostname(),
        )

    @classmethod
    def from_dict(cls, content: object, where: str) -> Failure:
        """Build it from JSON; `where` names the place in errors."""
        if not isinstance(content, Mapping) or not isinstance(content.get("error"), str):
            raise ConfigError(f"{where} is no record of a failure.")
        known = {name: content.get(name) for name in ("error", "traceback", "started", "ended", "host")}
        known["traceback"] = known["traceback"] or ""
        if not all(value is None or isinstance(value, str) for value in known.values()):
            raise ConfigError(f"{where} is no record of a failure.")
        return cls(**known)  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, str | None]:
        """What JSON keeps of it."""
        return asdict(self)
