"""Jobs that run on dask: ``dask_location.py JOB TAGS CONFIG`` runs one, with tags and run config in JSON."""

import json
import os
import sys
import time
from pathlib import Path

from dagster import (
    DagsterInstance,
    Definitions,
    DynamicOut,
    DynamicOutput,
    Out,
    Output,
    RetryPolicy,
    define_asset_job,
    execute_job,
    graph,
    op,
    reconstructable,
)

from curator_dagster import dask_executor


def count(context, name):
    """Note that a step ran; gives how often it has."""
    path = Path(context.op_config) / name
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")
    return len(path.read_text().split())


@op(config_schema=str, out=DynamicOut(int))
def spread(context):
    count(context, "spread")
    for n in range(3):
        yield DynamicOutput(n, mapping_key=str(n))


@op(config_schema=str, retry_policy=RetryPolicy(max_retries=1))
def square(context, n):
    if count(context, f"square{n}") == 1 and n == 1:
        raise RuntimeError("the first time it fails, as meant")
    return n * n


@op(config_schema=str, out={"some": Out(int, is_required=False), "none": Out(int, is_required=False)})
def choose(context, squares):
    yield Output(sum(squares), "some")


@op(config_schema=str)
def taken(context, total):
    (Path(context.op_config) / "total").write_text(str(total))


@op(config_schema=str)
def not_taken(context, total):
    count(context, "not_taken")


@op(config_schema=str)
def after_not_taken(context, nothing):
    count(context, "after_not_taken")


@graph
def shapes():
    some, none = choose(spread().map(square).collect())
    taken(some)
    after_not_taken(not_taken(none))


@op(config_schema=str)
def stay(context):
    count(context, context.op_handle.name)
    while True:
        time.sleep(0.05)


@op(config_schema=str, retry_policy=RetryPolicy(max_retries=1))
def stay_at_first(context):
    n = count(context, context.op_handle.name)
    while n == 1:
        time.sleep(0.05)


@graph
def staying():
    for name in ("first", "second", "third"):
        stay.alias(name)()


@graph
def losing():
    stay()
    stay_at_first()


def shapes_job():
    return shapes.to_job(executor_def=dask_executor)


def staying_job():
    return staying.to_job(executor_def=dask_executor)


@graph
def single():
    spread()


def single_job():
    return single.to_job(executor_def=dask_executor)


def losing_job():
    return losing.to_job(executor_def=dask_executor)


def numbers():
    from numbers_location import numbers_pipeline

    from curator_dagster import build_curation_defs

    executor = dask_executor.configured(json.loads(os.environ["NUMBERS_DASK"]))
    op_tags = json.loads(os.environ.get("NUMBERS_OP_TAGS", "{}"))
    defs = build_curation_defs("numbers", numbers_pipeline, executor=executor, batch_size=5, op_tags=op_tags)
    return Definitions.merge(defs, Definitions(jobs=[define_asset_job("numbers_samples", "numbers/samples")]))


def samples_job():
    return numbers().resolve_job_def("numbers_samples")


def refresh_job():
    return numbers().resolve_job_def("numbers_refresh")


if __name__ == "__main__":
    target, tags, config = sys.argv[1], *map(json.loads, sys.argv[2:])
    with DagsterInstance.get() as instance:
        result = execute_job(reconstructable(globals()[target]), instance, config, tags=tags)
        sys.exit(0 if result.success else 1)
