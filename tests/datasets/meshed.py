"""Meshes for the tests' histories: a sink of each layout, and what items hold."""

from __future__ import annotations

from typing import Any

import numpy as np

from curator_core.domains.mesh import Mesh, MeshPart, MeshZarrSink


def groups_sink(output_path: str, items_per_segment: int = 1) -> MeshZarrSink:
    return MeshZarrSink(output_path, chunk_rows=3, shard_bytes=200)


def ragged_sink(output_path: str, items_per_segment: int = 1) -> MeshZarrSink:
    return MeshZarrSink(output_path, layout="ragged", items_per_segment=items_per_segment)


SINKS: dict[str, Any] = {"mesh groups": groups_sink, "ragged meshes": ragged_sink}


def meshes(random: Any, kind: str, key: str, version: int) -> list[Mesh]:
    """Steps of one geometry; of groups, the parts and the fields differ from item to item."""
    is_same = kind == "ragged meshes"
    n = int(random.integers(0, 9))
    points = random.random((n + 3, 3))
    large = random.random(600)  # enough to be stored once, where several items have the same
    found = []
    for step in range(int(random.integers(0, 3))):
        data = {"p": random.random(n + 3).astype("f4"), "note": np.array([f"{key} é {i}" for i in range(n + 3)])}
        part = MeshPart(
            points, np.arange(n + 3 - n % 3), np.arange(0, n + 4 - n % 3, 3), np.full((n + 3) // 3, 5, "u1")
        )
        part = part.with_data(point_data=data if is_same or version % 2 else {"q": points})
        parts = {"interior": part} if is_same or version % 3 else {"interior": part, "boundaries/in": part}
        fields = {"Re": np.array([float(version)])} if is_same else {"Re": large if version % 2 else np.array(1.0)}
        found.append(Mesh(parts, fields, float(step)))
    return found
