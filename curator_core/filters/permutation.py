"""Filter that puts the rows of an item into a random order, the same in every run."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

import numpy as np

from curator_core.filters.values.fields import FieldError, Fields
from curator_core.filters.values.stepwise import FieldFilter
from curator_core.pipeline.current import current_item


class PermutationFilter(FieldFilter):
    """Puts the rows of each value into a random order.

    It depends on the seed and the key of the item alone: not on the worker, on other items, or on how often the item is
    processed. Values of one item that are of the same length have the same order.

    Parameters
    ----------
    along
        Name of the dimension; the rows of tables and arrays by default.
    seed
        Another seed gives another order.
    """

    name: ClassVar[str] = "permutation"
    description: ClassVar[str] = "Rows of each item in a random order, by seed and key"
    checks_arguments: ClassVar[bool] = True

    def __init__(self, along: str | None = None, *, seed: int = 0) -> None:
        self._along, self._seed = along, seed

    def apply(self, fields: Fields) -> Any:  # noqa: ANN401 - a value of the same kind
        dim = self._along or fields.row_dim
        if dim is None:
            raise FieldError(f"{fields.what} have no rows; name a dimension with along=")
        key = current_item().key
        digest = hashlib.sha256(f"{self._seed}:{key}".encode("utf-8", "surrogatepass")).digest()
        drawn = np.random.PCG64(list(digest)).random_raw(fields.length(dim))  # the same in every release of NumPy
        return fields.taken(dim, np.argsort(drawn, kind="stable"))
