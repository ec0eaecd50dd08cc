"""Compressed files that ask for more memory than they are worth, and files of several streams."""

import lzma
import struct
import zlib

import pytest

from irecgan_gym.readers.byte_source import ByteSource, DamagedFileError

TEXT = b"session,slate\ns1,3|4\n"


def all_of(path):
    source = ByteSource(path)
    try:
        return b"".join(iter(source.readline, b""))
    finally:
        source.close()


def with_dictionary(size_code):
    """A sound xz file whose header asks for another dictionary: 40 is 4 GiB, 30 is 128 MiB."""
    data = bytearray(lzma.compress(TEXT, check=lzma.CHECK_CRC32))
    start, end = 12, 12 + (data[12] + 1) * 4
    filters = data.index(b"\x21\x01", start, end)
    data[filters + 2] = size_code
    data[end - 4 : end] = struct.pack("<I", zlib.crc32(bytes(data[start : end - 4])))
    return bytes(data)


def test_a_dictionary_of_gigabytes_is_refused(tmp_path):
    path = tmp_path / "log.csv.xz"
    path.write_bytes(with_dictionary(30))
    assert all_of(path) == TEXT
    path.write_bytes(with_dictionary(40))
    with pytest.raises(DamagedFileError, match="not a sound xz file: to read it takes more than 256 MiB of memory"):
        all_of(path)


@pytest.mark.parametrize("header", [b"\x00" + bytes([31 << 3]), b"\xe0" + struct.pack("<Q", 1 << 40)])
def test_a_window_of_gigabytes_is_refused(header, tmp_path):
    path = tmp_path / "log.csv.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd" + header + b"\x21\x00\x00abcd")
    with pytest.raises(DamagedFileError, match=r"not a sound zstd file: .*too much memory"):
        all_of(path)


def test_streams_one_after_the_other_are_one_text(tmp_path):
    path = tmp_path / "log.csv.xz"
    for between in (b"", b"\0" * 8, b"\0" * (1 << 17)):
        path.write_bytes(lzma.compress(TEXT) + between + lzma.compress(b"s2,5\n") + between)
        assert all_of(path) == TEXT + b"s2,5\n"
    path.write_bytes(lzma.compress(TEXT) + b"what is this?")
    with pytest.raises(DamagedFileError, match="not a sound xz file"):
        all_of(path)
    path.write_bytes(lzma.compress(TEXT) + lzma.compress(b"s2,5\n")[:-20])
    with pytest.raises(EOFError):
        all_of(path)
