"""The error tree: one base class, every error also an instance of the builtin that its contract names.

All constructors take the message first and optional fields by keyword with defaults, so that
``Exception.__reduce__`` (class, ``args``, attributes) restores text and fields after pickling.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence


class CuratorError(Exception):
    """Base class of all errors raised by curator."""


class ConfigError(CuratorError, ValueError):
    """A setting is wrong; raised before any item is processed."""


class UnknownNameError(ConfigError):
    """A name that is not registered; the message lists the known ones, nearest first."""

    @classmethod
    def of(cls, kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
        """Build the error for `name`, which is none of the `known` names of a `kind`."""
        names = sorted(known)
        near = difflib.get_close_matches(str(name), names, n=len(names) or 1, cutoff=0.6)
        ordered = near + [n for n in names if n not in near]
        return cls(f"Unknown {kind} {name!r}. Known: {', '.join(ordered) if ordered else '(none)'}.")


class DuplicateNameError(ConfigError):
    """A name is registered already."""


class DuplicateKeyError(ConfigError):
    """Two items of one source have the same key."""


class EmptySourceError(ConfigError):
    """A source lists nothing, or the place it should list does not exist."""


class PartitionConflictError(ConfigError):
    """Source and sink disagree about which indices belong to one worker."""


class IndexRangeError(ConfigError, IndexError):
    """An index lies outside the source."""


class PipelineStateError(CuratorError, RuntimeError):
    """The pipeline cannot do this as it is configured (no sink, tracking off)."""


class MissingDependencyError(CuratorError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""

    @classmethod
    def of(cls, package: str, extra: str, purpose: str) -> MissingDependencyError:
        """Build the error for a missing `package` that the optional-dependency group `extra` installs."""
        return cls(f"{purpose} needs {package}. Install it with: pip install 'curator-dagster[{extra}]'")


class ComponentError(CuratorError, RuntimeError):
    """A component failed on an item.

    Attributes
    ----------
    component, key, file : str or None
        Where it happened.
    """

    def __init__(
        self, message: str, *, component: str | None = None, key: str | None = None, file: str | None = None
    ) -> None:
        super().__init__(message)
        self.component = component
        self.key = key
        self.file = file


class DatasetReplacedError(ComponentError):
    """A dataset was published anew, or removed, after it was opened; what is read now would be another version's."""


class DatasetExpiredError(DatasetReplacedError):
    """A version of a dataset is not kept any more."""


class DatasetVersionError(ConfigError):
    """The versions of a dataset cannot be used: their records are damaged, or a newer version of curator wrote them.

    Attributes
    ----------
    file : str
        Which file.
    """

    def __init__(self, message: str, *, file: str = "") -> None:
        super().__init__(message)
        self.file = file


class WorkerDiedError(CuratorError, RuntimeError):
    """A worker process ended while it held an index."""


class TaskEndedError(CuratorError, RuntimeError):
    """A task of a cluster was cancelled, or reached its time limit, before it was done with an index."""


class ArrayUnfinishedError(CuratorError, RuntimeError):
    """Tasks of a job array still work, or wait for their turn; the same run later takes over what they do.

    Attributes
    ----------
    job_ids
        SLURM's numbers of the arrays.
    """

    def __init__(self, message: str, job_ids: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.job_ids = job_ids


class ItemTimeoutError(CuratorError, TimeoutError):
    """An index took longer than the ``timeout`` of the run."""

    @classmethod
    def of(cls, seconds: float, *, killed: bool = False) -> ItemTimeoutError:
        """Build the error for an index that was stopped after `seconds`, with its process if `killed`."""
        how = "it did not react, so its worker process was killed" if killed else "it was interrupted"
        return cls(f"the item took longer than timeout={seconds:g} s; {how}")


class RunFailed(CuratorError, RuntimeError):  # noqa: N818 - the public contract names it so
    """Some indices failed; all others were processed and recorded.

    Attributes
    ----------
    failures : dict[int, str]
        ``"ErrorType: message"`` by index.
    results : list[list[str]]
        Output paths of every requested index, in the requested order; empty where it failed.
    """

    def __init__(
        self,
        message: str,
        *,
        failures: Mapping[int, str] | None = None,
        results: Sequence[Sequence[str]] | None = None,
    ) -> None:
        super().__init__(message)
        self.failures = dict(failures or {})
        self.results = [list(paths) for paths in results or ()]


class MergeError(CuratorError, RuntimeError):
    """Shards cannot be merged into the published output, which stays as it was."""


class OutputError(OSError, CuratorError):  # in this order it can be pickled
    """A file cannot be written: the disk is full, say. What was there before stays as it was.

    Attributes
    ----------
    file, reason : str
        Which, and why.
    """

    def __init__(self, message: str, *, file: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.file = file
        self.reason = reason


class ObjectStoreError(OutputError):
    """An object store cannot be reached, or refuses; what is published there stays as it was."""


class StoreError(CuratorError, RuntimeError):
    """The metrics database cannot be used."""


class StoreBusyError(StoreError):
    """Another process holds the database's lock for longer than the waiting time."""


class StoreCorruptError(StoreError):
    """The file is damaged or is no metrics database; it is left where it is."""


class StoreVersionError(StoreError):
    """The database was written by a newer version of curator."""


class UntrustedFileError(CuratorError, RuntimeError):
    """A file that would run what is in it belongs to somebody else, or others could have written it."""


class WorkflowError(CuratorError, RuntimeError):
    """A workflow or its table of experiments cannot go on as it is."""


class ExperimentsNotFoundError(FileNotFoundError, ConfigError):  # in this order it can be pickled
    """A folder holds no table of experiments."""
