"""Published datasets in PyTorch: tensors, batches of samples of different lengths, loaders that can be resumed.

Needs the extra ``torch``; a name is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curator_core.errors import MissingDependencyError
from curator_core.moved import names_in

try:
    import torch  # noqa: F401 - every module below needs it
except ImportError as exc:
    raise MissingDependencyError.of("torch", "torch", "curator_core.reading.torch") from exc

if TYPE_CHECKING:
    from curator_core.reading.torch.loading import TrainingLoader as TrainingLoader
    from curator_core.reading.torch.normalization import Normalization as Normalization
    from curator_core.reading.torch.rows import RowSamples as RowSamples
    from curator_core.reading.torch.samples import TensorSamples as TensorSamples
    from curator_core.reading.torch.windows import TimeWindows as TimeWindows

_HOME = {
    "Normalization": "curator_core.reading.torch.normalization",
    "RowSamples": "curator_core.reading.torch.rows",
    "TensorSamples": "curator_core.reading.torch.samples",
    "TimeWindows": "curator_core.reading.torch.windows",
    "TrainingLoader": "curator_core.reading.torch.loading",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - derived, so that the two cannot differ
__getattr__ = names_in(__name__, _HOME)


def __dir__() -> list[str]:
    return __all__
