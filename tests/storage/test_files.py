import os
import select
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from irecgan_gym.storage.files import is_unfinished, write_atomically


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_content_is_replaced_and_nothing_is_left_over(tmp_path):
    path = tmp_path / "new" / "file.txt"
    write_atomically(path, b"one")
    write_atomically(path, memoryview(b"two"))
    assert path.read_bytes() == b"two"
    assert [file.name for file in path.parent.iterdir()] == ["file.txt"]


def test_a_failed_write_leaves_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    write_atomically(path, b"old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


FULL_DISK = """
import resource, sys
from pathlib import Path
from irecgan_gym.storage.files import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_atomically(Path(sys.argv[1]), b"x" * 1001)
except OSError as error:
    print(error.filename, error.strerror)
"""


def test_a_disk_without_room_is_named_and_leaves_the_old_content(tmp_path):
    path = tmp_path / "file.txt"
    write_atomically(path, b"old")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=True)
    assert done.stdout == f"{path} File too large\n"
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_others_may_read_what_the_umask_allows(tmp_path):
    plain, atomic = tmp_path / "plain", tmp_path / "atomic"
    plain.write_bytes(b"")
    write_atomically(atomic, b"")
    assert mode(atomic) == mode(plain)


@pytest.mark.parametrize("bits", [0o600, 0o640, 0o755])
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path, bits):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(bits)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert mode(path) == bits


@pytest.mark.parametrize("target", ["there", "missing"])
def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path, target):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "there").write_bytes(b"old")
    link, first = tmp_path / "link", tmp_path / "first"
    link.symlink_to("first")
    first.symlink_to(os.path.join("folder", target))
    write_atomically(link, b"new")
    assert (tmp_path / "folder" / target).read_bytes() == b"new"
    assert link.is_symlink()
    assert first.is_symlink()
    assert not any(is_unfinished(file.name) for file in tmp_path.rglob("*"))


def test_links_in_a_circle_are_named(tmp_path):
    path = tmp_path / "circle"
    path.symlink_to("circle")
    with pytest.raises(OSError, match="Too many levels of symbolic links") as caught:
        write_atomically(path, b"new")
    assert caught.value.filename == str(path)


def test_a_device_is_written_to_and_stays():
    write_atomically(Path(os.devnull), b"lost")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    if os.path.exists("/dev/full"):
        with pytest.raises(OSError, match=r"No space left on device.*/dev/full"):
            write_atomically(Path("/dev/full"), b"x")
        assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_a_pipe_takes_the_content_where_someone_reads(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="a pipe that nobody reads from"):
        write_atomically(pipe, b"new")
    # Larger than what a pipe holds, so that the writer must wait for the reader.
    content, got = os.urandom(300_000), []
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reading, True)

    def read():
        select.select([reading], [], [], 10)
        with os.fdopen(reading, "rb") as file:
            got.append(file.read())

    thread = threading.Thread(target=read)
    thread.start()
    write_atomically(pipe, content)
    thread.join(10)
    assert got == [content]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(IsADirectoryError) as caught:
        write_atomically(tmp_path, b"new")
    assert caught.value.filename == str(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(NotADirectoryError) as caught:
        write_atomically(tmp_path / "file" / "inner", b"new")
    assert caught.value.filename == str(tmp_path / "file" / "inner")


def test_names_may_be_as_long_as_the_system_allows(tmp_path):
    for name in ("n" * 255, "é" * 127, "\U0001f600" * 63):
        write_atomically(tmp_path / name, b"new")
        assert (tmp_path / name).read_bytes() == b"new"


KILLED = """
import os, signal, sys
from pathlib import Path
from irecgan_gym.storage import files
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
files.write_atomically(Path(sys.argv[1]), b"new")
"""


def test_what_a_killed_write_leaves_over_can_be_told_by_its_name(tmp_path):
    path = tmp_path / "results.csv"
    path.write_bytes(b"old")
    done = subprocess.run([sys.executable, "-c", KILLED, path], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    (left,) = (file.name for file in tmp_path.iterdir() if file != path)
    assert is_unfinished(left)
    assert not any(map(is_unfinished, ("results.csv", ".hidden", ".git", "a.0123456789abcdef", "..0123456789abcde")))


def test_a_name_that_no_file_can_have_is_refused():
    with pytest.raises(OSError, match=r"no name of a file .*null byte"):
        write_atomically(Path("a\0b"), b"")
