"""A curation to be started, killed and resumed by tests: ``curation_target.py SINK N_JOBS [BACKEND [PAUSE_S]]``.

Works in the current folder: reads ``in``, counts attempts in ``log``, records in ``db/run.db``, writes
``out``. Paths are relative, so that copies of the folder have the same configuration.
"""

from __future__ import annotations

import sys

from curator_core import gather_pipeline, run_pipeline
from curator_core.session import compaction
from curator_core.testing import DatasetSink, FaultySource, FileSource, JsonSink, StatisticsFilter


def build(sink, pause_s=0.0, faults=None):
    source = FaultySource(FileSource("in", by_content=True), "log", faults, pause_s)
    end = DatasetSink("out/data.json") if sink == "dataset" else JsonSink("out")
    pipeline = source.filter(StatisticsFilter("out/stats.json")).write(end)
    return pipeline.with_settings(db_file="db/run.db", resume=True)


if __name__ == "__main__":
    compaction.MAX_LOOSE = 7  # so that shards are absorbed while the run goes on
    sink, n_jobs, backend, pause_s = [*sys.argv[1:], *("auto", "0.005")[len(sys.argv) - 3 :]]
    chosen = build(sink, float(pause_s))
    try:
        run_pipeline(chosen, backend=backend, n_jobs=int(n_jobs), progress=False)
    except KeyboardInterrupt:
        sys.exit(130)
    gather_pipeline(chosen)
