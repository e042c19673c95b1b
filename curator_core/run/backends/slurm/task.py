"""``python -m curator_core.run.backends.slurm.task FOLDER``: one task of an array."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

from curator_core.engine import IndexProcessor
from curator_core.run.backends.slurm.array import ArrayFolder, ResultLog


def main(folder: str) -> None:
    """Process the groups of this task, one item after the other."""
    array, task = ArrayFolder(Path(folder)), int(os.environ["SLURM_ARRAY_TASK_ID"])
    setup = array.setup()
    sys.path.extend(path for path in setup.import_paths if path not in sys.path)
    pipeline = pickle.loads(setup.payload)  # noqa: S301 - written by our own coordinator
    with (
        IndexProcessor(pipeline, timeout=setup.timeout) as process,
        ResultLog(array, task, process.worker_id) as log,
    ):
        for item in array.items(task):
            if (item.index, item.key, item.fingerprint) not in log.done:
                log.begin(item.index)
                log.append(process(item))
        log.begin(None)


if __name__ == "__main__":
    main(*sys.argv[1:])
