"""Groups of items on a real job array: one task does a group, in order, whatever happens to its members."""

from itertools import groupby

import pytest

from curator_core import RunFailed
from curator_core.testing import invocations
from curator_core.testing.backend_contract import GroupedSource

pytestmark = [pytest.mark.slow, pytest.mark.slurm, pytest.mark.xdist_group("slurm")]


def by_process(log, group):
    """The indices of a group as processes did them, one list for each process that follows another."""
    lines = [tuple(map(int, line.split())) for line in log.read_text().splitlines()]
    done = [(index, process) for index, process in lines if index // 4 == group]
    return [[index for index, _ in part] for _, part in groupby(done, key=lambda entry: entry[1])]


def test_groups_keep_their_order_when_members_fail_or_kill_their_task(folder, run, resources):
    """A failed member is passed over; a dead task's group goes on in one other task, from where it was."""
    few = type(resources)(time=resources.time, mem=resources.mem, max_array_size=2)
    faults = {"000001": ["fail"], "000005": ["kill"], "000009": ["kill", "kill"]}
    source = GroupedSource(16, 4, str(folder / "order"))
    with pytest.raises(RunFailed) as caught:
        run(faults, source=source, resources=few)
    assert sorted(caught.value.failures) == [1, 9]
    assert "planned failure" in caught.value.failures[1]
    assert "ended 2 times while they held item '000009'" in caught.value.failures[9]
    expected = [[[0, 2, 3]], [[4], [5, 6, 7]], [[8], [10, 11]], [[12, 13, 14, 15]]]
    assert [by_process(folder / "order", group) for group in range(4)] == expected
    run(faults, source=source, resources=few)
    attempts = invocations(folder / "log")
    assert {key: n for key, n in attempts.items() if n > 1} == {"000001": 2, "000005": 2, "000009": 3}
