"""Datasets in PyTorch: the same rows whatever reads them, resumed where it stopped, damage by name."""

import pickle
import random
import shutil

import pytest

torch = pytest.importorskip("torch")

from curator_core import SplitByKey, open_dataset  # noqa: E402 - needs torch
from curator_core.errors import ComponentError, ConfigError, CuratorError, UnknownNameError  # noqa: E402 - as above
from curator_core.reading.torch import Normalization, TensorSamples, TrainingLoader  # noqa: E402 - as above

NAMES = ["numbers", "positions", "energy", "forces"]


@pytest.fixture
def samples(dataset):
    """The dataset as tensors."""
    return TensorSamples(dataset, NAMES)


def _rows(batches):
    """Samples of batches, one a row, comparable."""
    found = []
    for batch in batches:
        assert batch["n_atoms"].sum() == len(batch["positions"]) == len(batch["batch"])
        for i, energy in enumerate(batch["energy"].tolist()):
            own = batch["batch"] == i
            found.append((energy, *(batch[name][own].tolist() for name in ("numbers", "positions", "forces"))))
    return found


@pytest.fixture
def expected(dataset):
    """Every sample, as ASE's structures have it."""
    return [
        (i, atoms.numbers.tolist(), atoms.positions.tolist(), atoms.calc.results["forces"].tolist())
        for i, atoms in enumerate(open_dataset(dataset))
    ]


def test_a_sample_is_the_structure(samples, expected):
    """One tensor an array, in the array's own type."""
    assert len(samples) == 80
    sample = samples[7]
    assert list(sample) == NAMES
    assert sample["energy"].shape == ()
    assert sample["energy"].dtype == torch.float64
    assert (7.0, *(sample[name].tolist() for name in ("numbers", "positions", "forces"))) == expected[7]
    assert [found["energy"].item() for found in samples.__getitems__([5, 1, 1])] == [5, 1, 1]


START = [
    ("fork", 1),
    pytest.param("fork", 3, marks=pytest.mark.campaign),
    ("spawn", 1),
    pytest.param("spawn", 2, marks=pytest.mark.campaign),
    pytest.param("forkserver", 2, marks=pytest.mark.campaign),
]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than this machine has cores
@pytest.mark.parametrize(("method", "n_workers"), START)
def test_workers_read_the_same_rows(samples, expected, method, n_workers):
    """In the same order as no workers, however they start; also after this process has read."""
    assert samples[0]["energy"] == 0
    alone = _rows(TrainingLoader(samples, 16, seed=3))
    assert sorted(alone) == expected
    assert alone != expected
    options = {"num_workers": n_workers, "multiprocessing_context": method}
    loader = TrainingLoader(samples, 16, seed=3, **options)
    assert _rows(loader) == alone
    assert _rows(TrainingLoader(samples, 7, shuffle=False)) == expected


def test_batches_differ_by_epoch_and_ranks_share_them(samples, expected):
    """Every epoch has every sample once, over all ranks."""
    loaders = [TrainingLoader(samples, 9, seed=1, rank=rank, world_size=3) for rank in range(3)]
    epochs = [[_rows(loader) for loader in loaders] for _ in range(2)]
    for shares in epochs:
        assert sorted(row for share in shares for row in share) == expected
    assert epochs[0] != epochs[1]
    assert [loader.epoch for loader in loaders] == [2] * 3


@pytest.mark.parametrize("n_workers", [0, 1])
def test_a_resumed_loader_gives_exactly_what_remains(samples, n_workers):
    """Wherever it was interrupted, whatever workers had prepared, with another number of workers."""
    whole = TrainingLoader(samples, 6, seed=5)
    batches = [[_rows([batch]) for batch in whole] for _ in range(2)]
    loader = TrainingLoader(
        samples, 6, seed=5, num_workers=n_workers, multiprocessing_context="fork" if n_workers else None
    )
    assert len(loader) == len(batches[0]) == 14
    list(loader)
    for n_done, _ in enumerate(loader, 1):
        if n_done == 4:
            state = pickle.loads(pickle.dumps(loader.state_dict()))
            break
    resumed = TrainingLoader(samples, 6, seed=5)
    resumed.load_state_dict(state)
    assert resumed.epoch == 1
    assert [_rows([batch]) for batch in resumed] == batches[1][4:]
    assert resumed.epoch == 2
    resumed.load_state_dict(TrainingLoader(samples, 6, seed=5).state_dict())
    assert [_rows([batch]) for batch in resumed] == batches[0]


def test_a_state_of_other_samples_is_refused(samples, publish, tmp_path):
    """Another seed, another size of batches, another dataset: by name."""
    state = TrainingLoader(samples, 6, seed=5).state_dict()
    for name, settings in {"seed": {"seed": 6}, "batch_size": {"batch_size": 7, "seed": 5}}.items():
        with pytest.raises(ConfigError, match=f"other samples would come.*{name}"):
            TrainingLoader(samples, **{"batch_size": 6} | settings).load_state_dict(state)
    other = TensorSamples(publish(tmp_path, marker=0.5), NAMES)
    with pytest.raises(ConfigError, match="the dataset's contents"):
        TrainingLoader(other, 6, seed=5).load_state_dict(state)


def test_a_damaged_shard_is_named_and_never_read(dataset, tmp_path, expected):
    """By a worker too; samples that lie elsewhere are read."""
    copy = shutil.copytree(dataset, tmp_path / "copy.zarr")
    file = copy / "forces" / "c" / "1" / "0"
    samples = TensorSamples(copy, NAMES)
    file.write_bytes(file.read_bytes()[:-40])
    found, wrong = [], []
    for i in random.Random(0).sample(range(80), 80):
        try:
            found += _rows([samples.collate([samples[i]])])
        except ComponentError as exc:
            wrong.append(str(exc))
    assert found
    assert wrong
    assert all(row in expected for row in found)
    assert all(str(file) in text for text in wrong)
    loader = TrainingLoader(samples, 16, num_workers=1, multiprocessing_context="fork")
    with pytest.raises(CuratorError, match=str(file)):
        list(loader)


def test_what_is_published_meanwhile_is_not_mixed_in(publish, tmp_path):
    """A loop gets the samples of the version that it opened, in workers too; once that is expired, an error."""
    samples = TensorSamples(publish(tmp_path), NAMES)
    options = {"shuffle": False, "num_workers": 1, "multiprocessing_context": "fork"}
    loader = iter(TrainingLoader(samples, 8, **options))
    energies = next(loader)["energy"].tolist()
    publish(tmp_path, marker=1000.0)
    energies += [energy for batch in loader for energy in batch["energy"].tolist()]
    energies += [energy for batch in TrainingLoader(samples, 8, **options) for energy in batch["energy"].tolist()]
    assert energies == [*range(80), *range(80)]
    publish(tmp_path, marker=2000.0)
    with pytest.raises(CuratorError, match=r"expired|not kept"):
        list(TrainingLoader(samples, 8, shuffle=False))


def test_arrays_types_and_transforms(dataset):
    """All arrays of numbers, unless some are named; numbers with a fraction in another type."""
    every = TensorSamples(dataset)[4]
    assert {"cell", "pbc", "info/gap", *NAMES} <= set(every)
    assert not {"calculator", "present/info/gap"} & set(every)
    samples = TensorSamples(dataset, ["numbers", "energy"], dtype=torch.float32, transform=_with_size)
    batch = samples.collate(samples.__getitems__([3, 1]))
    assert batch["energy"].dtype == torch.float32
    assert batch["numbers"].dtype == torch.int64
    assert batch["size"].tolist() == [5, 3]
    assert batch["batch"].tolist() == [0] * 5 + [1] * 3
    alone = TensorSamples(dataset, ["energy"])
    assert alone.collate(alone.__getitems__([2, 0]))["energy"].tolist() == [2, 0]
    with pytest.raises(UnknownNameError, match=r"Unknown array of numbers 'force'.*Known: forces"):
        TensorSamples(dataset, ["force"])
    with pytest.raises(ConfigError, match="not a dataset of samples"):
        TensorSamples(3)


def _with_size(sample):
    return sample | {"size": torch.tensor(len(sample["numbers"]))}


def test_normalisation_by_the_statistics_of_the_dataset(dataset):
    """Mean 0, deviation 1 over the whole dataset, and back again."""
    table = dataset.parent / "statistics.parquet"
    normalization = Normalization.from_statistics(table, {"energy": "energy", "forces": "forces"})
    samples = TensorSamples(dataset, NAMES, normalization=normalization)
    batch = samples.collate(samples.__getitems__(range(80)))
    for name in ("energy", "forces"):
        assert abs(batch[name].mean().item()) < 1e-12
        assert batch[name].std(correction=0).item() == pytest.approx(1)
    energies = normalization.invert("energy", batch["energy"])
    torch.testing.assert_close(energies, torch.arange(80.0, dtype=torch.float64))
    assert normalization.apply("positions", batch["positions"]) is batch["positions"]
    with pytest.raises(UnknownNameError, match=r"Unknown field of .*'force'"):
        Normalization.from_statistics(table, {"forces": "force"})
    with pytest.raises(ComponentError, match="no table of statistics"):
        Normalization.from_statistics(dataset / "zarr.json", {})
    constant = Normalization({"energy": 2.0}, {"energy": 0.0})
    assert constant.apply("energy", torch.tensor([2.0, 3.0])).tolist() == [0, 1]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_a_split_is_loaded_alone(publish, tmp_path):
    """By workers too, every sample once an epoch; a state of another split is refused."""
    path = publish(tmp_path, split=SplitByKey({"train": 0.6, "test": 0.4}, seed=1))
    train, test = (TensorSamples(path, ["energy"], split=name) for name in ("train", "test"))
    expected = [atoms.get_potential_energy() for atoms in open_dataset(path, split="train")]
    assert 0 < len(expected) == len(train) == 80 - len(test)
    loader = TrainingLoader(train, 7, seed=3, num_workers=1, multiprocessing_context="fork")
    assert sorted(energy for batch in loader for energy in batch["energy"].tolist()) == expected
    with pytest.raises(ConfigError, match="other samples would come"):
        TrainingLoader(test, 7, seed=3).load_state_dict(loader.state_dict())
    with pytest.raises(ConfigError, match="goes with a path"):
        TensorSamples(open_dataset(path), split="train")
