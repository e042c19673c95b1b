"""`MetricsStoreResource`: what is recorded of a curation's items, for other assets and ops."""

# No deferred annotations here: Dagster reads those of resources as they are.
from pathlib import Path

from dagster import ConfigurableResource
from pydantic import Field

from curator_core import MetricsStore
from curator_core.errors import StoreError
from curator_core.store import Row, export_rows


class MetricsStoreResource(ConfigurableResource):  # type: ignore[type-arg]  # it is what assets are given
    """Reads a metrics database, also while a refresh is writing it; never the data itself.

    Items that were processed but not yet taken over from a run in progress are not in it.
    """

    db_file: str = Field(description="The metrics database: db_file of the pipeline's settings.")

    def open(self) -> MetricsStore:
        """The database, opened read-only; a context manager that closes it.

        Raises
        ------
        StoreError
            There is none yet, or it cannot be read.
        """
        if not Path(self.db_file).is_file():
            raise StoreError(
                f"There is no metrics database {self.db_file}. The refresh job of the curation writes it, at the "
                "place that db_file of its pipeline names."
            )
        return MetricsStore(self.db_file)

    def rows(self) -> list[Row]:
        """What is recorded of each item in the latest run, in the order of the source.

        The columns are those of ``curator export``, such as ``key``, ``status``, ``error``, ``wall_time_ns`` and
        ``output_paths``; ``pandas.DataFrame`` takes them.

        Raises
        ------
        StoreError
            There is no database, or no run in it.
        """
        with self.open() as store:
            return list(export_rows(store, store.run().run_id))

    def failures(self) -> dict[str, str]:
        """Error by key of the items that failed in the latest run.

        Raises
        ------
        StoreError
            There is no database, or no run in it.
        """
        with self.open() as store:
            items = store.items(store.run().run_id).values()
            return {item.key: item.error or "failed" for item in items if item.status == "error" and item.index >= 0}
