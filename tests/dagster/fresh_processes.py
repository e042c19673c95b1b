"""An executor as somebody writes it for a cluster of their own: each step is a new process with a clean environment."""

import json
import os
import subprocess

from dagster import executor, multiple_process_executor_requirements
from dagster._core.execution.retries import RetryMode  # noqa: PLC2701 - as Dagster's own executors for clusters
from dagster._core.executor.step_delegating import (  # noqa: PLC2701 - as above
    CheckStepHealthResult,
    StepDelegatingExecutor,
    StepHandler,
)

STARTED = []
"""All processes, to be waited for at the end of a test."""


class FreshProcesses(StepHandler):
    def __init__(self, environment):
        self.environment = environment
        self.processes = {}

    @property
    def name(self):
        return "fresh processes"

    def launch_step(self, step_handler_context):
        command = step_handler_context.execute_step_args.get_command_args()
        (step,) = step_handler_context.step_tags
        self.processes[step] = subprocess.Popen(command, env=self.environment, cwd="/")
        STARTED.append(self.processes[step])
        yield from ()

    def check_step_health(self, step_handler_context):
        (step,) = step_handler_context.step_tags
        if self.processes[step].poll():
            return CheckStepHealthResult.unhealthy(f"its process ended with {self.processes[step].returncode}.")
        return CheckStepHealthResult.healthy()

    def terminate_step(self, step_handler_context):
        (step,) = step_handler_context.step_tags
        self.processes[step].terminate()
        yield from ()


@executor(requirements=multiple_process_executor_requirements())
def fresh_processes(context):
    return StepDelegatingExecutor(
        FreshProcesses(json.loads(os.environ.get("FRESH_ENVIRONMENT", "{}"))),
        retries=RetryMode.ENABLED,
        sleep_seconds=0.1,
        check_step_health_interval_seconds=0,
    )
