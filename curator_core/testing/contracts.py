"""Contracts of components, as test classes to subclass."""

from __future__ import annotations

import pickle
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from curator_core.pipeline.abilities import ReadsValues
from curator_core.pipeline.components import (
    Component,
    Filter,
    MergeItem,
    ShardedFilter,
    ShardedSink,
    Sink,
    Source,
    shard_path,
)
from curator_core.pipeline.config import canonical_json, component_config


class SourceContract:
    """What every `Source` must do; override `make_source`."""

    def make_source(self, tmp_path: Path) -> Source[Any]:
        """The source under test, with at least two items."""
        raise NotImplementedError

    def is_equal(self, first: object, second: object) -> bool:
        """Whether two values of the source are the same; override where ``==`` gives an array."""
        return bool(first == second)

    def test_has_items(self, tmp_path: Path) -> None:
        """The sample has at least two items."""
        assert len(self.make_source(tmp_path)) > 1

    def test_items_are_generated(self, tmp_path: Path) -> None:
        """Every item is an iterator that gives at least one value."""
        source = self.make_source(tmp_path)
        for index in range(len(source)):
            produced = source[index]
            assert isinstance(produced, Iterator)
            assert len(list(produced)) > 0

    def test_reads_the_same_twice(self, tmp_path: Path) -> None:
        """An item can be read again and gives equal values."""
        source = self.make_source(tmp_path)
        first, second = list(source[0]), list(source[0])
        assert len(first) == len(second)
        assert all(self.is_equal(a, b) for a, b in zip(first, second, strict=True))

    def test_keys_are_unique_text(self, tmp_path: Path) -> None:
        """Keys are strings, not empty, and no two are the same."""
        source = self.make_source(tmp_path)
        keys = [source.key(index) for index in range(len(source))]
        assert {type(key) for key in keys} == {str}
        assert all(keys)
        assert len(set(keys)) == len(keys)

    def test_identity_is_stable(self, tmp_path: Path) -> None:
        """A copy of the source in another process gives the same keys and fingerprints."""
        source = self.make_source(tmp_path)
        copy = pickle.loads(pickle.dumps(source))
        for index in range(len(source)):
            assert copy.key(index) == source.key(index)
            assert copy.fingerprint(index) == source.fingerprint(index)
            assert source.fingerprint(index) is None or isinstance(source.fingerprint(index), str)

    def test_paths_are_text(self, tmp_path: Path) -> None:
        """The path of an item is a string, or ``None``, and the same in another process."""
        source = self.make_source(tmp_path)
        copy = pickle.loads(pickle.dumps(source))
        for index in range(len(source)):
            assert source.item_path(index) is None or isinstance(source.item_path(index), str)
            assert copy.item_path(index) == source.item_path(index)

    def test_pickles(self, tmp_path: Path) -> None:
        """A copy in another process reads the same number of values."""
        source = self.make_source(tmp_path)
        copy = pickle.loads(pickle.dumps(source))
        assert len(list(copy[1])) == len(list(source[1]))

    def test_pickles_after_use(self, tmp_path: Path) -> None:
        """What was opened while reading does not get in the way of pickling."""
        source = self.make_source(tmp_path)
        list(source[0])
        assert len(pickle.loads(pickle.dumps(source))) == len(source)

    def test_groups_hold_every_index_once(self, tmp_path: Path) -> None:
        """Partition groups are the given indices, each once."""
        source = self.make_source(tmp_path)
        _assert_groups(source.partition_indices(list(range(len(source)))), len(source))

    def test_configuration_is_stable(self, tmp_path: Path) -> None:
        """The configuration has one representation, before and after pickling."""
        _assert_configuration(self.make_source(tmp_path))


class FilterContract:
    """What every `Filter` must do; override `make_filter` and `make_items`."""

    def make_filter(self, tmp_path: Path) -> Filter[Any]:
        """The filter under test; outputs go below `tmp_path`."""
        raise NotImplementedError

    def make_items(self, index: int) -> list[Any]:
        """Values of one index, different for different indices."""
        raise NotImplementedError

    def is_equal(self, first: object, second: object) -> bool:
        """Whether two values are the same; override where ``==`` gives an array."""
        return bool(first == second)

    def _passed(self, step: Filter[Any], index: int) -> list[Any]:
        return list(step(_generated(self.make_items(index))))

    def test_gives_a_generator(self, tmp_path: Path) -> None:
        """Calling the filter gives an iterator and reads nothing yet."""
        untouched = _failing([])
        assert isinstance(self.make_filter(tmp_path)(untouched), Iterator)

    def test_passes_failures_on(self, tmp_path: Path) -> None:
        """A failure of the stage before reaches the stage after."""
        assert _raises_planned(lambda: list(self.make_filter(tmp_path)(_failing(self.make_items(0)))))

    def test_accepts_an_empty_item(self, tmp_path: Path) -> None:
        """An index without values is no error."""
        list(self.make_filter(tmp_path)(_generated([])))

    def test_indices_do_not_affect_each_other(self, tmp_path: Path) -> None:
        """An index gives the same values whatever was processed before it."""
        used = self.make_filter(tmp_path)
        self._passed(used, 0)
        expected = self._passed(self.make_filter(tmp_path), 1)
        found = self._passed(used, 1)
        assert len(found) == len(expected)
        assert all(self.is_equal(a, b) for a, b in zip(found, expected, strict=True))

    def test_pickles(self, tmp_path: Path) -> None:
        """A copy in another process gives as many values."""
        step = self.make_filter(tmp_path)
        copy = pickle.loads(pickle.dumps(step))
        assert len(self._passed(copy, 0)) == len(self._passed(step, 0))

    def test_configuration_is_stable(self, tmp_path: Path) -> None:
        """The configuration has one representation, before and after pickling."""
        _assert_configuration(self.make_filter(tmp_path))

    def test_shards_are_of_one_index(self, tmp_path: Path) -> None:
        """A shard holds its own index alone, whatever was processed before it."""
        step, fresh = self.make_filter(tmp_path), self.make_filter(tmp_path)
        if not isinstance(step, ShardedFilter) or not isinstance(fresh, ShardedFilter):
            return
        self._passed(step, 0)
        self._passed(step, 1)
        self._passed(fresh, 1)
        step.write_shard(str(tmp_path / "used"))
        fresh.write_shard(str(tmp_path / "fresh"))
        assert tree_bytes(tmp_path / "used") == tree_bytes(tmp_path / "fresh")

    def test_merging_is_repeatable(self, tmp_path: Path) -> None:
        """The same shards in the same order give the same bytes, and stay where they are."""
        step = self.make_filter(tmp_path)
        if not isinstance(step, ShardedFilter):
            return
        shards = []
        for index in range(3):
            self._passed(step, index)
            shards.append(shard_path(tmp_path / Path(step.output_path).name, index, step.shard_suffix))
            step.write_shard(shards[-1])
        outputs = [tmp_path / f"merged{n}{Path(step.output_path).suffix}" for n in range(2)]
        for output in outputs:
            pickle.loads(pickle.dumps(step)).merge(shards, str(output))
        assert tree_bytes(outputs[0]) == tree_bytes(outputs[1])
        assert all(Path(shard).exists() for shard in shards)


class SinkContract:
    """What every `Sink` must do; override `make_sink` and `make_items`."""

    def make_sink(self, tmp_path: Path) -> Sink[Any]:
        """The sink under test; outputs go below `tmp_path`."""
        raise NotImplementedError

    def make_items(self, index: int) -> list[Any]:
        """Values of one index, different for different indices."""
        raise NotImplementedError

    def test_returns_existing_paths(self, tmp_path: Path) -> None:
        """The sink returns a list of strings, and something is at each path."""
        paths = self.make_sink(tmp_path)(iter(self.make_items(0)), 0)
        assert isinstance(paths, list)
        assert all(Path(path).exists() for path in paths)

    def test_an_index_replaces_itself(self, tmp_path: Path) -> None:
        """Writing an index again gives the same paths and content, and nothing else."""
        sink = self.make_sink(tmp_path)
        paths = sink(iter(self.make_items(0)), 0)
        before = tree_bytes(tmp_path)
        assert sink(iter(self.make_items(0)), 0) == paths
        assert tree_bytes(tmp_path) == before

    def test_failed_items_leave_nothing(self, tmp_path: Path) -> None:
        """When the items fail half-way the sink raises, and no output is left that looks complete."""
        sink = self.make_sink(tmp_path)
        expected = [str(path) for path in self.make_sink(tmp_path)(iter(self.make_items(0)), 0)]
        before = {path: tree_bytes(Path(path)) for path in expected}
        assert _raises_planned(lambda: sink(_failing(self.make_items(0)[:1]), 0))
        assert all(not Path(path).exists() or tree_bytes(Path(path)) == before[path] for path in expected)

    def test_pickles(self, tmp_path: Path) -> None:
        """A copy in another process writes to the same paths."""
        sink = self.make_sink(tmp_path)
        copy = pickle.loads(pickle.dumps(sink))
        assert copy(iter(self.make_items(1)), 1) == sink(iter(self.make_items(1)), 1)

    def test_groups_hold_every_index_once(self, tmp_path: Path) -> None:
        """Partition groups are the given indices, each once."""
        _assert_groups(self.make_sink(tmp_path).partition_indices(list(range(5))), 5)

    def test_configuration_is_stable(self, tmp_path: Path) -> None:
        """The configuration has one representation, before and after pickling."""
        _assert_configuration(self.make_sink(tmp_path))

    def test_merging_step_by_step_is_merging_at_once(self, tmp_path: Path) -> None:
        """A dataset made from a previous one and new shards has the bytes of one made from all shards."""
        sink = self.make_sink(tmp_path)
        if not isinstance(sink, ShardedSink):
            return
        shards = [Path(sink(iter(self.make_items(index)), index)[0]) for index in range(3)]
        name = Path(sink.output_path)
        first, second, at_once = (tmp_path / f"merged_{n}{name.suffix}" for n in range(3))
        items = [MergeItem(i, f"key{i}", None, f"version{i}", shard) for i, shard in enumerate(shards)]
        sink.merge_items([items[0], items[2]], None, str(first))
        retained = [MergeItem(i, f"key{i}", None, f"version{i}", shards[1] if i == 1 else None) for i in range(3)]
        sink.merge_items(retained, str(first), str(second))
        sink.merge_items(items, None, str(at_once))
        assert tree_bytes(second) == tree_bytes(at_once)
        assert sink.retained_items(str(second)) == {item.key: item.version for item in items}

    def test_values_are_those_of_the_schema(self, tmp_path: Path) -> None:
        """A sink that reads its dataset gives the variables of its schema, of the items that the dataset holds."""
        sink = self.make_sink(tmp_path)
        if not isinstance(sink, ShardedSink) or not isinstance(sink, ReadsValues):
            return
        shards = [Path(sink(iter(self.make_items(index)), index)[0]) for index in range(2)]
        merged = str(tmp_path / f"merged{Path(sink.output_path).suffix}")
        sink.merge_items(
            [MergeItem(i, f"key{i}", None, "version", shard) for i, shard in enumerate(shards)], None, merged
        )
        schema = {variable.name: variable for variable in sink.schema(merged)}
        for variable in schema.values():
            assert len(variable.dims) == len(variable.shape)
        found = list(sink.values(merged, list(schema)))
        assert {key for key, _, _ in found} == {"key0", "key1"}
        assert {name for _, name, _ in found} == schema.keys()

    def test_nothing_is_retained_without_a_dataset(self, tmp_path: Path) -> None:
        """A dataset that does not exist retains nothing."""
        sink = self.make_sink(tmp_path)
        if isinstance(sink, ShardedSink):
            assert sink.retained_items(str(tmp_path / "nothing")) == {}


class PlannedError(Exception):
    """Raised by the contracts' failing items."""


def tree_bytes(path: Path) -> dict[str, bytes]:
    """Content of a file or of every file below a folder, by relative name."""
    if path.is_dir():
        return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}
    return {"": path.read_bytes()}


def _generated(items: list[Any]) -> Generator[Any, None, None]:
    yield from items


def _failing(items: list[Any]) -> Generator[Any, None, None]:
    yield from items
    raise PlannedError


def _raises_planned(action: Any) -> bool:  # noqa: ANN401 - any callable without arguments
    try:
        action()
    except PlannedError:
        return True
    return False


def _assert_groups(groups: list[list[int]] | None, n_indices: int) -> None:
    if groups is not None:
        assert sorted(index for group in groups for index in group) == list(range(n_indices))


def _assert_configuration(component: Component) -> None:
    text = canonical_json(component_config(component))
    copy = pickle.loads(pickle.dumps(component))
    assert canonical_json(component_config(copy)) == text
    assert " at 0x" not in text
