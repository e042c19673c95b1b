"""Files that run what is in them are read only where nobody else could have written them."""

import os
import stat

import pytest

from curator_core.errors import UntrustedFileError
from curator_core.storage.private import make_private_folder, read_private, write_private


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True, params=[0o022, 0o002, 0o000])
def umask(request):
    """What others leave to their group, or to everybody."""
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_only_their_owner_reads_and_enters(tmp_path):
    """Whatever the umask; folders above are as usual, a folder that was open is closed."""
    folder = tmp_path / "a" / "b"
    make_private_folder(folder)
    write_private(folder / "c", b"secret")
    assert (mode(folder), mode(folder / "c")) == (0o700, 0o600)
    assert mode(folder.parent) & 0o055 or os.umask(0o022) == 0o077
    assert read_private(folder / "c") == b"secret"
    folder.chmod(0o777)
    make_private_folder(folder)
    assert mode(folder) == 0o700


def test_a_file_or_link_of_the_name_is_replaced_not_written(tmp_path):
    """What a link leads to stays as it is."""
    (tmp_path / "target").write_bytes(b"theirs")
    (tmp_path / "link").symlink_to("target")
    write_private(tmp_path / "link", b"ours")
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"theirs"


@pytest.mark.parametrize("bits", [0o620, 0o602, 0o666])
def test_what_others_can_write_is_not_opened(tmp_path, bits):
    """The message tells the mode."""
    write_private(tmp_path / "c", b"")
    (tmp_path / "c").chmod(bits)
    with pytest.raises(UntrustedFileError, match=rf"can be written by others \(mode 0{bits:o}\)"):
        read_private(tmp_path / "c")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_belongs_to_another_user_is_not_opened(tmp_path):
    """Nor is their folder used."""
    write_private(tmp_path / "c", b"")
    os.chown(tmp_path / "c", 12345, -1)
    with pytest.raises(UntrustedFileError, match="belongs to user 12345"):
        read_private(tmp_path / "c")
    (tmp_path / "folder").mkdir()
    os.chown(tmp_path / "folder", 12345, -1)
    with pytest.raises(UntrustedFileError, match="but of user 12345"):
        make_private_folder(tmp_path / "folder")


def test_what_is_no_file_is_not_waited_for(tmp_path):
    """A pipe, a folder, a link to nothing in place of a folder."""
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises((UntrustedFileError, IsADirectoryError)):
            read_private(tmp_path / name)
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(UntrustedFileError, match="no folder of yours"):
        make_private_folder(tmp_path / "link")
