"""Publication of files and folders: written aside, made durable, then renamed into place."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from curator_core.errors import ComponentError
from curator_core.storage.disk import room_for, writing

TEMPORARY_MARK = ".curator-tmp-"
"""Part of every temporary name."""
_MANY = 200
"""Files and folders of a dataset that are made durable one by one; more are so with their file system."""


def temporary_sibling(path: str | Path) -> Path:
    """An unused hidden name beside `path`, so that a rename stays within one file system."""
    return _sibling(Path(path), "")


def suffixed_sibling(path: str | Path) -> Path:
    """A `temporary_sibling` that ends as `path` does: some writers go by the suffix, or add one."""
    target = Path(path)
    return _sibling(target, target.suffix)


def _sibling(target: Path, suffix: str) -> Path:
    return target.with_name(f".{target.name}{TEMPORARY_MARK}{uuid.uuid4().hex[:12]}{suffix}")


def link_or_copy(source: str | Path, target: str | Path) -> bool:
    """Give a file a second name, or make a copy where that is not possible; whether it is a second name.

    Raises
    ------
    FileNotFoundError
        There is no such file, or no folder for the other name.
    FileExistsError
        Something has that name.
    """
    try:
        os.link(source, target)
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError:  # no links here, too many to this file, none allowed, or another disk
        shutil.copy2(source, target)
        return False
    return True


def discard(place: Path) -> None:
    """Delete a file or folder: at no moment is a part of it found under its name."""
    if place.exists():
        temporary = temporary_sibling(place)
        place.replace(temporary)
        remove(temporary)


def give_other_name(source: Path, target: Path) -> None:
    """Give a file, or a folder's files, a second name, or make copies; there is nothing at `target`, or all of it.

    What is copied is made durable.
    """
    temporary = temporary_sibling(target)
    try:
        if source.is_dir():
            shutil.copytree(source, temporary, copy_function=link_or_copy)
            sync_all(temporary)
        elif not link_or_copy(source, temporary):
            sync(temporary)
        discard(target)
        temporary.replace(target)
    except BaseException:
        remove(temporary)
        raise


def remove_leftovers(path: str | Path) -> None:
    """Delete temporary siblings of `path` that a killed process left behind.

    Call it only where no other process can be publishing `path`.
    """
    target = Path(path)
    if target.parent.is_dir():
        for left in target.parent.glob(f".{glob_escape(target.name)}{TEMPORARY_MARK}*"):
            remove(left)


def remove(path: Path) -> None:
    """Delete a file or a whole folder; nothing happens when it is not there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def glob_escape(name: str) -> str:
    """Escape the characters of `name` that a glob pattern would interpret."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def publish_file(temporary: Path, target: Path) -> None:
    """Replace `target` with `temporary`: a reader sees the old content or the new, whole."""
    sync(temporary)
    temporary.replace(target)
    sync(target.parent)


def publish_text(text: str, target: Path) -> None:
    """Replace `target` with a file that holds `text`, in UTF-8: a reader sees the old content or the new, whole.

    Where that fails, on a full disk say, nothing is left beside it.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    with published(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def published(path: str | Path) -> Iterator[Path]:
    """A temporary file that replaces `path` at the end; on an error nothing is left of it.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    target = Path(path)
    temporary = temporary_sibling(target)
    with writing(target):
        try:
            yield temporary
            publish_file(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def written_shard(path: str | Path, component: str) -> Iterator[Path]:
    """A temporary file or folder that becomes the shard at `path`; on an error nothing is left of it.

    It is not synced, as the merged output is: that would cost more than all else for a small item.

    Parameters
    ----------
    path
        Where the shard will stand.
    component
        Who writes it, for messages.

    Raises
    ------
    OutputError
        The disk is full.
    ComponentError
        Nothing was written.
    """
    shard = Path(path)
    temporary = suffixed_sibling(shard)
    with room_for(shard):
        shard.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            _put_in_place(temporary, shard, component)
        except BaseException:  # what a full disk cut off would take the room that the next attempt needs
            remove(temporary)
            raise


def _put_in_place(temporary: Path, shard: Path, component: str) -> None:
    try:
        temporary.replace(shard)
    except OSError as exc:
        if not temporary.exists():
            raise ComponentError(
                f"{component}.write_shard() wrote nothing at the path that it was given.",
                component=component,
                file=str(shard),
            ) from exc
        if not (temporary.is_dir() or shard.is_dir()):
            raise
        _put_over(temporary, shard)


def _put_over(temporary: Path, shard: Path) -> None:
    """Put a folder, or a file, where the other stands, or a folder: maybe while another process does the same."""
    while True:
        with contextlib.suppress(FileNotFoundError):  # another process has just discarded it
            discard(shard)
        try:
            temporary.replace(shard)
        except OSError as exc:  # another process has just put its own there
            if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
                raise
        else:
            return


def publish_directory(temporary: Path, target: Path) -> None:
    """Replace the folder `target` with the folder `temporary`.

    Where the operating system can exchange two names atomically (Linux, most local file systems), a
    reader sees the old folder or the new one. Elsewhere there is an instant without `target`;
    `recover_directory` puts the old one back when a kill hits it. All is made durable, but for files that have
    another name as well: those are durable already.
    """
    sync_all(temporary)
    replace_directory(temporary, target)
    sync(target.parent)


def replace_directory(temporary: Path, target: Path) -> None:
    """Do what `publish_directory` does with a folder that is durable already."""
    if not target.exists():
        temporary.replace(target)
    elif exchange(temporary, target):
        remove(temporary)
    else:
        aside = _aside(target)
        target.replace(aside)
        temporary.replace(target)
        remove(aside)


def recover_directory(target: Path) -> None:
    """Undo a folder replacement that was killed between its two renames."""
    aside = _aside(target)
    if aside.exists():
        if target.exists():
            remove(aside)
        else:
            aside.replace(target)


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.curator-old")


def sync_all(path: Path) -> None:
    """Make a file durable, or a folder with all that is in it, but for files that have another name as well.

    Who links a file into a folder has made it durable.
    """
    left = _not_durable(path)
    few = list(islice(left, _MANY))
    if len(few) == _MANY and _sync_file_system(path):
        return
    for place in chain(few, left):
        sync(Path(place))


def _not_durable(path: Path) -> Iterator[str]:
    """What `sync_all` makes durable, the folder itself last."""
    for root, folders, files in os.walk(path):
        yield from (f"{root}/{name}" for name in files if os.lstat(f"{root}/{name}").st_nlink == 1)
        yield from (f"{root}/{name}" for name in folders)
    yield str(path)


def _sync_file_system(path: Path) -> bool:
    """Make a whole file system durable, in place of thousands of calls; ``False`` where that is not possible."""
    if not sys.platform.startswith("linux"):
        return False
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        return False
    with opened(path) as descriptor:
        if syncfs(descriptor):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    return True


@contextlib.contextmanager
def opened(path: Path) -> Iterator[int]:
    """Within, a descriptor of a file or folder, to read it or to name what is in it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def sync(path: Path) -> None:
    """Make a file durable, or the names in a folder."""
    with opened(path) as descriptor:
        try:
            os.fsync(descriptor)
        except OSError as exc:
            if exc.errno not in (errno.EINVAL, errno.EBADF):  # a file system that cannot sync folders
                raise


_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def exchange(first: Path, second: Path) -> bool:
    """Swap two names atomically with renameat2(2); ``False`` where that is not possible."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    return bool(rename(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE) == 0)
