"""What Prefect adds: retries that happen, and runs that it shows."""

from __future__ import annotations

from typing import Any

import pytest

from curator_core import RunFailed, run_pipeline
from curator_core.testing import BackendContract, invocations

pytest.importorskip("prefect")


@pytest.mark.xdist_group("prefect")
@pytest.mark.usefixtures("prefect_client")
def test_retries_happen(numbers, tmp_path):
    """Prefect tries an item that fails again, and no other; one that keeps failing is failed at last."""
    faults = {"000001": ["fail", "fail"], "000004": ["fail"] * 9}
    with pytest.raises(RunFailed) as failed:
        run_pipeline(numbers(6, faults), backend="prefect", n_jobs=2, progress=False, retries=2, retry_delay_seconds=0)
    assert list(failed.value.failures) == [4]
    assert invocations(tmp_path / "log") == {f"{i:06d}": 3 if i in {1, 4} else 1 for i in range(6)}


@pytest.mark.xdist_group("prefect")
@pytest.mark.usefixtures("prefect_client")
def test_prefect_knows_the_run(numbers):
    """Prefect's server lists the flow run and its tasks."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        before = {run.id for run in client.read_flow_runs()}
        run_pipeline(numbers(3), backend="prefect", n_jobs=2, progress=False)
        (flow_run,) = [run for run in client.read_flow_runs() if run.id not in before]
        tasks = [task for task in client.read_task_runs() if task.flow_run_id == flow_run.id]
    assert flow_run.state_name == "Completed"
    assert tasks
    assert all(task.name.startswith("curate-") for task in tasks)


@pytest.mark.campaign
def test_ctrl_c_with_the_temporary_server(tmp_path):
    """Ctrl-C reaches every process of the terminal; Prefect's own server outlives it, so that the run ends soon."""
    contract: Any = BackendContract()
    contract.backend = "prefect"
    contract.test_stops_cleanly_at_ctrl_c(tmp_path)
