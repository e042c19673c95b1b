"""What failed is tried again in one run, and nothing else."""

import pytest
from dagster import AssetKey, DagsterInvalidConfigError

from .conftest import QUIET

SAMPLES = AssetKey(["numbers", "samples"])


def retried(watched, **fields):
    job = watched.defs.resolve_job_def("numbers_retry")
    given = QUIET | {"ops": {"numbers_plan_failed": {"config": fields}}}
    return job.execute_in_process(instance=watched.instance, raise_on_error=False, run_config=given)


@pytest.fixture
def scattered(watched):
    """Two of four failed, not beside each other."""
    watched.project.put(a="x", c="x")
    assert not watched.refresh()
    return watched


def test_a_retry_takes_what_failed_and_nothing_else(scattered):
    """Changed since, too, as it stands failed in Dagster; what is new is left, which the run says."""
    scattered.project.put(c="4", e="9")
    result = retried(scattered)
    assert not result.success
    assert scattered.project.invocations() == {"a.txt": 2, "b.txt": 1, "c.txt": 2, "d.txt": 1}
    assert scattered.instance.get_materialized_partitions(SAMPLES) == {"b.txt", "c.txt", "d.txt"}
    said = [entry.user_message for entry in scattered.instance.all_logs(result.run_id)]
    assert "1 items are left to numbers_refresh: 1 new." in said
    scattered.project.put(a="1")
    assert retried(scattered).success
    assert scattered.project.dataset() is None, "published without the newcomer"
    assert scattered.refresh()
    assert len(scattered.project.dataset()) == 5


def test_what_failed_says_how_to_try_it_again(scattered):
    """On the partition, and in the run."""
    observed = scattered.instance.fetch_observations(SAMPLES, limit=5).records
    assert len(observed) == 2
    assert all("numbers_retry" in o.asset_observation.metadata["curator/retry"].value for o in observed)
    (failure,) = [event for event in retried(scattered).all_events if event.is_step_failure]
    assert "numbers_retry" in failure.step_failure_data.user_failure_data.metadata["curator/retry"].value


def test_a_retry_publishes_what_is_tolerated(scattered):
    """The same way as a refresh, with its checks."""
    scattered.settings["max_missing"] = 1
    scattered.project.put(c="4")
    assert not retried(scattered).success
    assert set(scattered.project.dataset()) == {"b.txt", "c.txt", "d.txt"}


def test_a_retry_of_nothing_is_green(watched):
    """It processes nothing."""
    assert watched.refresh()
    assert retried(watched).success
    assert set(watched.project.invocations().values()) == {1}


def test_a_retry_is_told_what_to_do(scattered):
    """Some keys, or so many; what it does not know is refused."""
    retried(scattered, limit=1)
    assert scattered.project.invocations()["c.txt"] == 1
    retried(scattered, keys=["c.txt", "d.txt"])
    assert scattered.project.invocations() == {"a.txt": 2, "b.txt": 1, "c.txt": 2, "d.txt": 1}
    for wrong in ({"force": True}, {"limit": 0}):
        with pytest.raises(DagsterInvalidConfigError):
            retried(scattered, **wrong)
