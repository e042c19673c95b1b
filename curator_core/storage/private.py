"""Files that only their owner reads and writes: what is in them may be secret, or is run when it is read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from curator_core.errors import UntrustedFileError
from curator_core.storage.disk import make_folder, output_error, writing

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def make_private_folder(path: Path) -> None:
    """Make a folder that nobody but its owner enters, or make one so that is there; those above it are as usual.

    Raises
    ------
    OutputError
        It cannot be made.
    UntrustedFileError
        It is there, and another user's.
    """
    make_folder(path.parent)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise UntrustedFileError(
                f"{path} is no folder of yours, but of user {found.st_uid}: choose another place, or have it removed."
            ) from None
        path.chmod(0o700)
    except OSError as exc:
        raise output_error(path, exc) from exc


def write_private(path: Path, content: bytes) -> None:
    """Write a file that nobody else reads; one that is there, or a link of that name, is replaced.

    Where that fails, on a full disk say, nothing is left.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    with writing(path):
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - of a descriptor
                file.write(content)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def read_private(path: Path) -> bytes:
    """Read a file that runs what is in it, such as a pickle, if nobody but its owner could have written it.

    The file itself is asked, and not the folders above it: whoever may put another file in its place cannot make it
    belong to its reader. So a project's folder may be shared.

    Raises
    ------
    UntrustedFileError
        It belongs to another user, or others may write it.
    FileNotFoundError
        There is none.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would not be waited for
    with open(descriptor, "rb") as file:  # noqa: PTH123 - of a descriptor
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise UntrustedFileError(f"{path} is no file; it is not opened.")
        if found.st_uid != os.geteuid():
            raise UntrustedFileError(
                f"{path} belongs to user {found.st_uid}, and reading it would run what is in it as user "
                f"{os.geteuid()}. Start the run again, as one user, in a folder of your own."
            )
        if found.st_mode & _OTHERS_WRITE:
            raise UntrustedFileError(
                f"{path} can be written by others (mode {stat.S_IMODE(found.st_mode):04o}), and reading it runs what "
                "is in it. Start the run again; it writes the file for you alone."
            )
        return file.read()
