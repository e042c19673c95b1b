"""A curation on SLURM: ``slurm_target.py PAUSE_S [cancel|partition down]``, in the folder of ``in``."""

import sys

from curator_core import RunFailed, run_pipeline
from curator_core.slurm import SlurmCluster, SlurmResources
from curator_core.testing import FaultySource, FileSource, JsonSink


def pipeline(pause_s=0.0, faults=None):
    source = FaultySource(FileSource("in", by_content=True), "log", faults, pause_s)
    return source.write(JsonSink("out")).with_settings(db_file="db/run.db", resume=True)


if __name__ == "__main__":
    partition = "broken" if sys.argv[2:] == ["partition down"] else "batch"
    options = {
        "cluster": SlurmCluster(account="", partition=partition, runner=f"'{sys.executable}'"),
        "resources": SlurmResources(time="00:05:00", mem="100M", max_array_size=4),
        "cancel_on_interrupt": sys.argv[2:] == ["cancel"],
    }
    try:
        run_pipeline(pipeline(float(sys.argv[1])), backend="slurm", progress=False, **options)
    except KeyboardInterrupt:
        sys.exit(130)
    except RunFailed:
        sys.exit(1)
