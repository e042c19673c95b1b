"""Filter that checks meshes: closed surfaces, good cells, the right size, the same fields."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Final, get_args

from curator_core.domains.mesh.fields import MeshFields
from curator_core.domains.mesh.model import Mesh
from curator_core.domains.mesh.quality.rules import RULES, Rule
from curator_core.errors import ConfigError, MergeError, UnknownNameError
from curator_core.filters.checks.item_checks import ItemChecksFilter
from curator_core.filters.checks.results import EXAMPLES, CheckResult, Severity, write_results
from curator_core.filters.shards import using_shard
from curator_core.filters.values import FieldError

logger = logging.getLogger("curator")

_SAME: Final = "same_fields"


class MeshChecksFilter(ItemChecksFilter):
    """Checks what meshes are expected to be; they pass unchanged, or their item fails.

    What is expected is a mapping:

    ``watertight``
        True: every edge of a surface belongs to two cells or more.
    ``manifold``
        True: no edge belongs to more than two cells.
    ``oriented``
        True: neighbours have the same side up, and closed surfaces point outward.
    ``inverted``, ``degenerate``, ``duplicate``
        Largest share of cells: of volumes that are inside out, of those without a size, of those that are there twice.
    ``quality``
        Smallest scaled Jacobian by percentile, ``{0: 0.0, 5: 0.2}``; of linear cells, others fail.
    ``extent``
        Smallest and largest length of the longest side of the box around the mesh, as ``[0.5, 3]``.
    ``finite``
        True: coordinates and floating-point data have no NaN and no infinite number.
    ``same_fields``
        True: all items have arrays of the same names, types and numbers of components, those of former runs among them.

    Each part is checked by itself, but for ``extent``. Points at the same place count as several until
    `MergePointsFilter` merges them. ``watertight``, ``manifold`` and ``oriented`` are of parts that are surfaces:
    others are not looked at, volumes beside a surface among them, whose outer faces are closed whatever they are, and
    an item that has no such part is logged and not counted. The output is a JSON file with an entry for each check;
    Dagster shows it as the asset check ``values``, where that is named.

    Parameters
    ----------
    output_path
        File of the results, ending in ``.json``.
    expected
        What is expected.
    severity
        ``fail``: an item that does not pass fails; where fields differ, nothing is published. ``warn``: it is recorded
        and logged. For all checks, or by name.
    parts
        Names or patterns of the parts that are checked; all by default.

    Raises
    ------
    ConfigError
        Something expected is no such expectation.

    Examples
    --------
    >>> step = MeshChecksFilter("checks.json", {"watertight": True, "extent": [0.5, 3.0]})
    """

    name: ClassVar[str] = "mesh_checks"
    description: ClassVar[str] = "Closed surfaces, good cells, the right size and the same fields, checked item by item"
    checks_arguments: ClassVar[bool] = True
    shard_format: ClassVar[str] = "curator-mesh-checks-1"

    def __init__(
        self,
        output_path: str,
        expected: Mapping[str, Any],
        *,
        severity: Severity | Mapping[str, Severity] = "fail",
        parts: Sequence[str] | None = None,
    ) -> None:
        self._output_path = str(output_path)
        self._rules: dict[str, Rule] = {}
        for name, value in expected.items():
            if name == _SAME:
                continue
            if name not in RULES:
                raise UnknownNameError(f"{self.name}: {UnknownNameError.of('check', name, (*RULES, _SAME))}")
            try:
                self._rules[name] = RULES[name](value)
            except ConfigError as exc:
                raise ConfigError(f"{self.name}: {exc}.") from None
        if expected.get(_SAME, True) is not True or not expected:
            what = "expected says nothing" if not expected else f"{_SAME} must be true or left out"
            raise ConfigError(f"{self.name}: {what}.")
        self._names = tuple(expected)
        by_name = dict(severity) if isinstance(severity, Mapping) else dict.fromkeys(self._names, severity)
        for name, value in by_name.items():
            if name not in self._names or value not in get_args(Severity):
                raise ConfigError(f"{self.name}: severity[{name!r}] = {value!r} is of no check, or not warn or fail.")
        self._severities: dict[str, Severity] = {name: by_name.get(name, "fail") for name in self._names}
        self._parts = None if parts is None else tuple(parts)
        self._found: dict[str, Any] = {}

    def __call__(self, items: Generator[Any, None, None]) -> Generator[Any, None, None]:
        """Pass meshes on and check them.

        Raises
        ------
        ComponentError
            A mesh does not pass, or cannot be checked.
        """
        self._found = {}  # here, not in the generator, which may never be started
        return self._observe(items, self._found)

    def _observe(self, items: Iterator[Any], found: dict[str, Any]) -> Generator[Any, None, None]:
        for position, mesh in enumerate(items):
            if not isinstance(mesh, Mesh):
                raise self._failed(f"it checks meshes, not {type(mesh).__name__}")
            try:
                self._examine(self._chosen(mesh), found)
            except FieldError as exc:
                raise self._failed(f"value {position}: {exc}") from exc
            yield mesh

    def _chosen(self, mesh: Mesh) -> Mesh:
        if self._parts is None:
            return mesh
        parts = {name: part for name, part in mesh if any(fnmatchcase(name, each) for each in self._parts)}
        if not parts:
            raise FieldError(f"it has no part {' or '.join(self._parts)}; it has {', '.join(mesh.parts)}")
        return mesh.with_parts(parts)

    def _examine(self, mesh: Mesh, found: dict[str, Any]) -> None:
        for name, rule in self._rules.items():
            if not rule.applies(mesh):
                logger.warning("%s: %s: not looked at: no part is a surface without volumes", self.name, name)
                continue
            self._record(found, name, rule.find(mesh), of=name, expected=rule.expected, severity=self._severities[name])
        if _SAME in self._names:
            found[_SAME] = found.get(_SAME, {}) | _signature(MeshFields(mesh))

    def merge_contents(self, contents: Iterable[bytes], output_path: str) -> None:
        """Join what was found in all items, and compare their fields.

        Raises
        ------
        MergeError
            Items have different fields, and the severity is ``fail``; or a shard is damaged.
        """
        items: list[tuple[str, dict[str, Any]]] = []
        for position, content in enumerate(contents):
            with using_shard(position, self.name):
                data = self.restored(content)
                items.append((str(data["key"]), dict(data["checks"])))
        rows = []
        for name in self._names:
            states = [(key, checks[name]) for key, checks in items if name in checks]
            rows.append(self._compared(states) if name == _SAME else self._result(name, states))
        same = next((row for row in rows if row.check == _SAME and not row.is_passed), None)
        if same is not None and same.severity == "fail":
            said = "; ".join(": ".join(example) for example in same.examples)
            raise MergeError(f"{self.name}: {said}. Nothing is published: correct them, or say severity='warn'.")
        write_results(output_path, self.shard_format, rows)

    def _result(self, name: str, states: Sequence[tuple[str, Mapping[str, Any]]]) -> CheckResult:
        bad = [(key, str(state["text"])) for key, state in states if state["n_bad"]]
        n_bad = sum(int(state["n_bad"]) for _, state in states)
        expected = self._rules[name].expected
        counts = (len(states), len(bad), n_bad)
        return CheckResult("mesh", name, expected, self._severities[name], *counts, tuple(bad[:EXAMPLES]))

    def _compared(self, states: Sequence[tuple[str, Mapping[str, str]]]) -> CheckResult:
        """Fields of each item, and those that most items have; of several such, of the first item."""
        texts = Counter(json.dumps(state, sort_keys=True) for _, state in states)
        usual: dict[str, str] = json.loads(texts.most_common(1)[0][0]) if texts else {}
        bad = [(key, _difference(usual, state)) for key, state in states if state != usual]
        expected = "the fields of most items"
        counts = (len(states), len(bad), len(bad))
        return CheckResult("mesh", _SAME, expected, self._severities[_SAME], *counts, tuple(bad[:EXAMPLES]))


def _signature(fields: MeshFields) -> dict[str, str]:
    """Types and components of arrays by name."""
    found = {}
    for name in fields.names():
        values = fields.values(name)
        kind = "text" if values.dtype.kind in "UOT" else str(values.dtype)
        is_rows = fields.place_of(name).kind in ("point_data", "cell_data")
        shape = "×".join(map(str, values.shape[1:] if is_rows else ()))
        found[name] = f"{kind} ({shape})" if shape else kind
    return found


def _difference(usual: Mapping[str, str], found: Mapping[str, str]) -> str:
    said = [f"lacks {name}" for name in usual if name not in found]
    said += [f"has {name}, which others lack" for name in found if name not in usual]
    both = [name for name in usual if name in found and usual[name] != found[name]]
    said += [f"{name} is {found[name]}, not {usual[name]}" for name in both]
    return ", ".join(said)
