"""Experiments as pandas, NumPy and xarray have them, and as a notebook shows them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from curator_core.errors import UnknownNameError
from curator_core.experiments.base import ExperimentTable
from curator_core.experiments.references import xarray
from curator_core.experiments.table import inferred

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

    from curator_core.experiments.data import ExperimentData
    from curator_core.experiments.sample import ExperimentSample


class ExperimentExports(ExperimentTable):
    """The table in other forms, each a copy."""

    def to_pandas(self, keep_references: bool = False) -> tuple[pd.DataFrame, pd.DataFrame]:  # noqa: FBT001, FBT002 - f3dasm's
        """Inputs and outputs as data frames of their own, columns of one type where their values allow it.

        Values that are files of their own are read, as far as they can be without running what is in them; others stay
        `Reference`. With `keep_references` they are paths.
        """
        folder = None if keep_references else self._project_dir
        return inferred(self.table.inputs, folder), inferred(self.table.outputs, folder)

    def to_numpy(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Inputs and outputs as arrays: (n_rows, n_inputs) and (n_rows, n_outputs)."""
        inputs, outputs = self.to_pandas()
        return inputs.to_numpy(), outputs.to_numpy()

    def to_multiindex(self) -> pd.DataFrame:
        """One data frame: the status under ``("jobs", "")``, then inputs under ``("input", name)``, and so on."""
        import pandas as pd

        inputs, outputs = self.to_pandas(keep_references=True)
        parts = {("jobs", ""): self.table.jobs}
        parts |= {("input", str(name)): inputs[name] for name in inputs.columns}
        parts |= {("output", str(name)): outputs[name] for name in outputs.columns}
        return pd.DataFrame(parts, index=self.index)

    def to_xarray(self, keep_references: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - xarray is optional; f3dasm's
        """A dataset with ``input`` (iterations, input_dim) and ``output`` (iterations, output_dim).

        Raises
        ------
        MissingDependencyError
            xarray is not installed.
        """
        package = xarray("to_xarray()")
        parts = {}
        for name, table in zip(("input", "output"), self.to_pandas(keep_references), strict=True):
            dims = ("iterations", f"{name}_dim")
            coords = {"iterations": self.index, dims[1]: list(table.columns)}
            parts[name] = package.DataArray(table.to_numpy(), dims=dims, coords=coords)
        return package.Dataset(parts)

    @property
    def data(self) -> Mapping[int, ExperimentSample]:
        """The records by row number; a row is replaced by `store_experimentsample`, and added by `add_experiments`."""
        return MappingProxyType(dict(cast("ExperimentData", self)))

    def column(self, name: str) -> pd.Series[Any]:
        """One input or output, no other being read."""
        for table in (self.table.outputs, self.table.inputs):
            if name in table.columns:
                return inferred(table[[name]], self._project_dir)[name]
        raise UnknownNameError.of("parameter", name, [*self.table.inputs.columns, *self.table.outputs.columns])

    def _repr_html_(self) -> str:
        shown: str = self.to_multiindex().to_html(max_rows=60, notebook=True)
        return shown
