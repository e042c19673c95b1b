"""A curation on SLURM: ``slurm_target.py PAUSE_S [cancel|999 CPUs]``, in the folder of ``in``."""

import sys

from curator_core import RunFailed, run_pipeline
from curator_core.slurm import SlurmCluster, SlurmResources
from curator_core.testing import FaultySource, FileSource, JsonSink


def pipeline(pause_s=0.0, faults=None):
    source = FaultySource(FileSource("in", by_content=True), "log", faults, pause_s)
    return source.write(JsonSink("out")).with_settings(db_file="db/run.db", resume=True)


if __name__ == "__main__":
    n_cpus = 999 if sys.argv[2:] == ["999 CPUs"] else 1
    options = {
        "cluster": SlurmCluster(account="", runner=f"'{sys.executable}'"),
        "resources": SlurmResources(time="00:05:00", mem="100M", max_array_size=4, cpus_per_task=n_cpus),
        "cancel_on_interrupt": sys.argv[2:] == ["cancel"],
    }
    try:
        run_pipeline(pipeline(float(sys.argv[1])), backend="slurm", progress=False, **options)
    except KeyboardInterrupt:
        sys.exit(130)
    except RunFailed:
        sys.exit(1)
