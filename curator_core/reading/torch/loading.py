"""Batches for a training loop, epoch after epoch, from where it was interrupted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from torch.utils.data import DataLoader, Sampler

from curator_core.errors import ConfigError
from curator_core.reading.shuffling import ShardOrder
from curator_core.reading.torch.rows import RowSamples
from curator_core.reading.torch.samples import Sample, TensorSamples
from curator_core.reading.torch.windows import TimeWindows


class _Batches(Sampler[list[int]]):
    """Positions of the samples of each batch of an epoch that are still to come."""

    def __init__(self, order: ShardOrder) -> None:
        self._order = order
        self.epoch = 0
        self.n_done = 0

    def __iter__(self) -> Iterator[list[int]]:
        return (batch.tolist() for batch in self._order.batches(self.epoch, self.n_done))

    def __len__(self) -> int:
        return self._order.n_batches() - self.n_done


class TrainingLoader:
    """Batches of a dataset, an epoch each time it is iterated.

    The batches depend on the settings and the epoch alone, not on the workers. The state is that of the training loop:
    batches that workers have prepared ahead do not count as read.

    Parameters
    ----------
    samples
        The dataset.
    batch_size
        Samples of a batch.
    shuffle
        Whether samples come in a random order, another one in each epoch.
    seed
        What the random order depends on.
    rank, world_size
        Which of how many processes that train together this is: each reads its own part.
    drop_last
        Whether a last batch that is not full is left out; then all ranks have equally many batches.
    run_length, buffer_size
        How the order is mixed: see `curator_core.reading.shuffling.ShardOrder`.
    **options
        Of ``torch.utils.data.DataLoader``, such as ``num_workers`` and ``multiprocessing_context``.

    Raises
    ------
    ConfigError
        A number is out of its range.
    """

    def __init__(
        self,
        samples: TensorSamples | TimeWindows | RowSamples,
        batch_size: int,
        *,
        shuffle: bool = True,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        drop_last: bool = False,
        run_length: int = ShardOrder.run_length,
        buffer_size: int = ShardOrder.buffer_size,
        **options: Any,  # noqa: ANN401 - DataLoader's own
    ) -> None:
        self._order = ShardOrder(
            n_samples=len(samples),
            batch_size=batch_size,
            is_shuffled=shuffle,
            seed=seed,
            rank=rank,
            world_size=world_size,
            drop_last=drop_last,
            run_length=run_length,
            buffer_size=buffer_size,
        )
        self._samples = samples
        self._batches = _Batches(self._order)
        self._loader: DataLoader[Sample] = DataLoader(
            samples, batch_sampler=self._batches, **{"collate_fn": samples.collate, **options}
        )

    @property
    def epoch(self) -> int:
        """Number of the epoch that comes, or is being read."""
        return self._batches.epoch

    def __len__(self) -> int:
        """Batches of a whole epoch on this rank."""
        return self._order.n_batches()

    def __iter__(self) -> Iterator[Sample]:
        """Batches of this epoch that are still to come; then the next one begins."""
        if isinstance(self._samples, RowSamples):
            self._samples.epoch = self.epoch  # before workers start, which have copies
        for batch in self._loader:
            self._batches.n_done += 1
            yield batch
        self._batches.epoch += 1
        self._batches.n_done = 0

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to give exactly the batches that are still to come."""
        state = {"epoch": self._batches.epoch, "n_done": self._batches.n_done}
        return state | {"dataset": self._samples.identity, "order": asdict(self._order)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another loader was, with the same dataset and the same settings.

        Raises
        ------
        ConfigError
            The dataset or a setting differs, so that other samples would come.
        """
        own = self.state_dict()
        differing = [name for name, value in own["order"].items() if state["order"].get(name) != value]
        if state["dataset"] != own["dataset"]:
            differing.append("the dataset's contents")
        if differing:
            raise ConfigError(f"The loader cannot go on from this state, other samples would come: {differing} differ.")
        self._batches.epoch, self._batches.n_done = int(state["epoch"]), int(state["n_done"])
