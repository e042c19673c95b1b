"""How many CPUs this process may use: those of the machine, of its affinity, of its container's quota."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


def available_cpus(groups: Path = _GROUPS, own_groups: Path = _OWN_GROUPS) -> int:
    """CPUs that this process may use, at least 1.

    Parameters
    ----------
    groups
        Where control groups are mounted; a quota of this process's or of one above it counts, rounded up.
    own_groups
        File with the names of those that this process belongs to.
    """
    n_cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [math.ceil(quota) for quota in _quotas(groups, own_groups)]
    return max(1, min([n_cpus, *quotas]))


def _quotas(groups: Path, own_groups: Path) -> Iterator[float]:
    """CPUs that every control group of this process allows (cgroups(7)), where it sets a limit."""
    for controllers, own in _own(own_groups):
        is_second_version = not controllers
        if not is_second_version and "cpu" not in controllers:
            continue
        mounts = [groups, groups / "unified"] if is_second_version else [groups / ",".join(controllers), groups / "cpu"]
        # In a container, the group itself is mounted, and the path may be that of the host.
        for path in [own, *own.parents]:
            for mount in mounts:
                folder = mount / path.relative_to("/")
                quota = _second(folder) if is_second_version else _first(folder)
                if quota is not None:
                    yield quota


def _own(path: Path) -> Iterator[tuple[list[str], PurePosixPath]]:
    """Controllers (none for version 2) and path of every group that this process is in."""
    for line in (_text(path) or "").splitlines():
        parts = line.split(":", 2)
        if len(parts) == 3 and parts[2].startswith("/") and ".." not in parts[2]:  # noqa: PLR2004 - as in cgroups(7)
            yield [name for name in parts[1].split(",") if name], PurePosixPath(parts[2])


def _second(folder: Path) -> float | None:
    quota, _, period = (_text(folder / "cpu.max") or "").partition(" ")
    return _ratio(quota, period)


def _first(folder: Path) -> float | None:
    return _ratio(_text(folder / "cpu.cfs_quota_us") or "", _text(folder / "cpu.cfs_period_us") or "")


def _ratio(quota: str, period: str) -> float | None:
    """``quota / period``; ``None`` for ``max`` and -1, which are no limit."""
    try:
        limit, time = int(quota), int(period)
    except ValueError:
        return None
    return limit / time if limit > 0 and time > 0 else None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
