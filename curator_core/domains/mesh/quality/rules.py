"""What can be expected of a mesh, and what of it does not hold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Final

import numpy as np

from curator_core.domains.mesh.cells import dimensions
from curator_core.domains.mesh.fields import MeshFields
from curator_core.domains.mesh.geometry.degeneracy import degenerate, repeated
from curator_core.domains.mesh.geometry.edges import Edges, enclosed_volume
from curator_core.domains.mesh.geometry.polygons import Polygons
from curator_core.domains.mesh.geometry.sizes import cell_sizes
from curator_core.domains.mesh.model import Mesh, MeshPart
from curator_core.domains.mesh.quality.shapes import scaled_jacobians
from curator_core.errors import ConfigError
from curator_core.filters.checks.rules import Finding
from curator_core.filters.values.fields import FieldError

_SURFACE: Final = 2
_VOLUME: Final = 3
_MM: Final = (200.0, 5000.0)
"""By how much lengths are off where millimetres are taken for metres, give or take."""


class Rule(ABC):
    """One expectation; made from what a configuration says."""

    check: ClassVar[str]
    """What a configuration calls it."""
    expected: str
    """What is expected, for people."""

    @abstractmethod
    def __init__(self, expected: Any) -> None:  # noqa: ANN401 - what a configuration says
        """Take in what a configuration says."""

    @abstractmethod
    def find(self, mesh: Mesh) -> Finding | None:
        """What of a mesh does not pass; ``None`` where everything does.

        Raises
        ------
        FieldError
            It cannot be checked.
        """

    def applies(self, mesh: Mesh) -> bool:
        """Whether the mesh has what the rule is about."""
        return True


class _PartRule(Rule):
    """An expectation of each part by itself."""

    def find(self, mesh: Mesh) -> Finding | None:
        found = []
        for name, part in mesh:
            try:
                found += [(n_bad, f"part {name!r}: {text}") for n_bad, text in self.of(part)]
            except FieldError as exc:
                raise FieldError(f"{self.check}: part {name!r}: {exc}") from None
        return Finding(sum(n_bad for n_bad, _ in found), "; ".join(text for _, text in found)) if found else None

    @abstractmethod
    def of(self, part: MeshPart) -> Iterator[tuple[int, str]]:
        """How much of a part does not pass, and what it is."""


class _True(_PartRule):
    """An expectation that is there or not, of parts whose cells are surfaces, with or without lines and points."""

    def __init__(self, expected: Any) -> None:  # noqa: ANN401 - what a configuration says
        if expected is not True:
            raise ConfigError(f"{self.check} must be true or left out, not {expected!r}")

    def applies(self, mesh: Mesh) -> bool:
        return any(_is_surface(part) for _, part in mesh)

    def of(self, part: MeshPart) -> Iterator[tuple[int, str]]:
        if _is_surface(part):
            polygons = Polygons(part)
            yield from self.of_edges(Edges.of(polygons), polygons)

    @abstractmethod
    def of_edges(self, edges: Edges, polygons: Polygons) -> Iterator[tuple[int, str]]:
        """How much of a surface does not pass, and what it is."""


def _is_surface(part: MeshPart) -> bool:
    return bool(dimensions(part.types).max(initial=0) == _SURFACE)


class Watertight(_True):
    """Every edge belongs to two cells or more."""

    check = "watertight"
    expected = "closed surfaces"

    def of_edges(self, edges: Edges, polygons: Polygons) -> Iterator[tuple[int, str]]:
        if edges.n_open:
            hint = ": are points at the same place merged?" if edges.n_open == edges.n_edges else ""
            yield edges.n_open, f"{edges.n_open:,} of {edges.n_edges:,} edges belong to one cell alone{hint}"


class Manifold(_True):
    """No edge belongs to more than two cells."""

    check = "manifold"
    expected = "at most two cells at an edge"

    def of_edges(self, edges: Edges, polygons: Polygons) -> Iterator[tuple[int, str]]:
        if edges.n_shared:
            yield edges.n_shared, f"{edges.n_shared:,} of {edges.n_edges:,} edges belong to more than two cells"


class Oriented(_True):
    """Neighbours have the same side up, and closed surfaces point outward."""

    check = "oriented"
    expected = "the same side up, outward where closed"

    def of_edges(self, edges: Edges, polygons: Polygons) -> Iterator[tuple[int, str]]:
        if edges.n_clashes:
            yield edges.n_clashes, f"at {edges.n_clashes:,} of {edges.n_edges:,} edges one cell is upside down"
        elif not edges.n_open and not edges.n_shared and enclosed_volume(polygons) < 0:
            yield len(polygons.cells), "its normals point inward"


class _Share(_PartRule):
    """No more than a share of the cells is bad."""

    what: ClassVar[str]

    def __init__(self, expected: Any) -> None:  # noqa: ANN401 - as above
        if isinstance(expected, bool) or not isinstance(expected, int | float) or not 0 <= expected <= 1:
            raise ConfigError(f"{self.check} must be a share of the cells, 0 to 1, not {expected!r}")
        self._most = float(expected)
        self.expected = f"a share of at most {self._most:g}"

    def of(self, part: MeshPart) -> Iterator[tuple[int, str]]:
        bad = self.bad(part)
        n_bad = int(np.count_nonzero(bad))
        if n_bad > self._most * len(bad):
            yield n_bad, f"{n_bad:,} of {len(bad):,} cells {self.what}, the first of them {int(bad.argmax())}"

    @abstractmethod
    def bad(self, part: MeshPart) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which cells are bad."""


class Inverted(_Share):
    """Volumes that are inside out."""

    check = "inverted"
    what = "are inside out"

    def bad(self, part: MeshPart) -> np.ndarray[Any, np.dtype[np.bool_]]:
        sizes = cell_sizes(part)
        return np.asarray((sizes.dimensions == _VOLUME) & (sizes.values < 0))


class Degenerate(_Share):
    """Cells without a size."""

    check = "degenerate"
    what = "have no size"

    def bad(self, part: MeshPart) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return degenerate(part)


class Duplicate(_Share):
    """Cells that are there twice."""

    check = "duplicate"
    what = "are there a second time"

    def bad(self, part: MeshPart) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return repeated(part)


class Quality(_PartRule):
    """Percentiles of the scaled Jacobian are not smaller than some numbers."""

    check = "quality"

    def __init__(self, expected: Any) -> None:  # noqa: ANN401 - as above
        try:
            pairs = [(float(percentile), float(least)) for percentile, least in dict(expected).items()]
        except (TypeError, ValueError):
            pairs = []
        if not pairs or not all(0 <= p <= 100 and -1 <= least <= 1 for p, least in pairs):  # noqa: PLR2004 - percent
            text = "quality must be the smallest scaled Jacobian by percentile, such as {0: 0.0, 5: 0.2}"
            raise ConfigError(f"{text}, not {expected!r}")
        self._least = sorted(pairs)
        self.expected = ", ".join(f"percentile {percentile:g} at least {least:g}" for percentile, least in self._least)

    def of(self, part: MeshPart) -> Iterator[tuple[int, str]]:
        if not (dimensions(part.types) >= _SURFACE).any():
            return
        found = scaled_jacobians(part)
        for percentile, least in self._least:
            value = float(np.percentile(found, percentile))
            if not value >= least:
                yield int(np.count_nonzero(found < least)), f"percentile {percentile:g} of the quality is {value:.3g}"


class Extent(Rule):
    """The longest side of the box around the mesh lies between two lengths."""

    check = "extent"

    def __init__(self, expected: Any) -> None:  # noqa: ANN401 - as above
        ends = list(expected) if isinstance(expected, Sequence) and not isinstance(expected, str) else []
        if len(ends) != 2 or not all(isinstance(end, int | float) for end in ends) or not 0 <= ends[0] <= ends[1]:  # noqa: PLR2004
            raise ConfigError(f"extent must be a smallest and a largest length, not {expected!r}")
        self._low, self._high = map(float, ends)
        self.expected = f"a longest side from {self._low:g} to {self._high:g}"

    def find(self, mesh: Mesh) -> Finding | None:
        boxes = [(part.points.min(axis=0), part.points.max(axis=0)) for _, part in mesh if part.n_points]
        if not boxes:
            return Finding(1, "it has no points")
        low, high = np.min([box[0] for box in boxes], axis=0), np.max([box[1] for box in boxes], axis=0)
        side = float((high.astype(np.float64) - low).max())
        if self._low <= side <= self._high:
            return None
        ratio = max(side / self._high if self._high else np.inf, self._low / side if side else np.inf)
        middle = float(np.sqrt(self._low * self._high)) or self._high
        off = max(side / middle, middle / side) if side and middle else np.inf
        word = "large" if side > self._high else "small"
        hint = f", about a thousand times too {word}: mm taken for m?" if _MM[0] <= off <= _MM[1] else ""
        return Finding(1, f"the longest side is {side:g}{hint or f', {ratio:.3g} times too {word}'}")


class Finite(Rule):
    """Coordinates and floating-point data have no NaN and no infinite number."""

    check = "finite"
    expected = "finite numbers"

    def __init__(self, expected: Any) -> None:  # noqa: ANN401 - as above
        if expected is not True:
            raise ConfigError(f"finite must be true or left out, not {expected!r}")

    def find(self, mesh: Mesh) -> Finding | None:
        fields = MeshFields(mesh)
        n_bad, said = 0, []
        for name in [*fields.names(), *fields.coordinates()]:
            values = fields.values(name)
            bad = ~np.isfinite(values) if values.dtype.kind in "fc" else np.zeros(0, np.bool_)
            if bad.any():
                n_bad += int(np.count_nonzero(bad))
                first = fields.place(name, [int(at) for at in np.unravel_index(int(bad.argmax()), bad.shape)])
                said.append(f"{np.count_nonzero(bad):,} of {bad.size:,} numbers of {name}, the first at {first}")
        return Finding(n_bad, f"{'; '.join(said)}, are NaN or infinite") if said else None


RULES: Final[Mapping[str, type[Rule]]] = MappingProxyType(
    {
        rule.check: rule
        for rule in (Watertight, Manifold, Oriented, Inverted, Degenerate, Duplicate, Quality, Extent, Finite)
    }
)
"""Rules by what a configuration calls them."""
