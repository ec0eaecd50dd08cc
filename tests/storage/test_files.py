import os
import stat

import pytest

from irecgan_gym.storage.files import write_atomically


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


def test_others_may_read_what_the_umask_allows(tmp_path):
    plain, atomic = tmp_path / "plain", tmp_path / "atomic"
    plain.write_bytes(b"")
    write_atomically(atomic, b"")
    assert stat.S_IMODE(atomic.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
