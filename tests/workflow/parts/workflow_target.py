"""A workflow to be killed and run again, in the current folder: ``workflow_target.py PAUSE_S``."""

import sys
import time

from curator_core.workflow import Block, DataGenerator, Domain, ExperimentData, Step, Workflow


class Design(Block):
    """Sixteen experiments."""

    def call(self, data, **kwargs):
        domain = Domain()
        domain.add_int("x", 0, 1000)
        return ExperimentData(domain, [{"x": x} for x in range(16)])


class Slow(DataGenerator):
    """Notes every attempt."""

    def execute(self, experiment_sample, pause_s=0.0):
        with open("attempts", "a") as file:  # noqa: PTH123 - appended to by several processes
            file.write(f"{experiment_sample.get('x')}\n")
        time.sleep(pause_s)
        experiment_sample.store("y", 1)
        return experiment_sample


if __name__ == "__main__":
    steps = [Step(Design()), Step(Slow(), parallel=True, kwargs={"pause_s": float(sys.argv[1])})]
    Workflow("slow", steps).run(rootdir=".", project_job="job", n_jobs=2)
