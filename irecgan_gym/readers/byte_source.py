"""Bytes of a file as whole lines of UTF-8, through whatever it is compressed and encoded with."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from irecgan_gym.readers.report import ReaderError

_CHUNK = 1 << 20
LONGEST_LINE = 1 << 24
"""Bytes of a line. No log has longer ones, and a compressed file of a few megabytes may hold one of gigabytes."""
MOST_DICTIONARY = 1 << 28
"""Bytes that decompression may hold. Files of ``xz -9`` take 65 MiB; a crafted one may ask for 4 GiB, and fill them."""
_MAGIC = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "bzip2": re.compile(rb"BZh[1-9]1AY&SY"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd"),
    "xz": re.compile(rb"\xfd7zXZ\x00"),
}
_SUFFIXES = {".gz": "gzip", ".bz2": "bzip2", ".zst": "zstd", ".xz": "xz"}
_DAMAGED = (OSError, zlib.error, lzma.LZMAError, pa.ArrowException)


class DamagedFileError(ReaderError):
    """A file whose bytes are not what its check sums say, or no lines of text."""


class ByteSource:
    """The decompressed bytes of a file, handed out by lines or by blocks of whole lines.

    What is compressed is known by its name (``.gz``, ``.bz2``, ``.zst``, ``.xz``) or else by its first bytes. Text in
    another encoding comes out as UTF-8; bytes that mean nothing in that encoding come out as they are, and so are no
    UTF-8.

    Args:
        path: the file.
        encoding: of the text, as Python names it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: an encoding that Python does not know.
    """

    def __init__(self, path: Path, encoding: str = "utf-8") -> None:
        if not path.is_file():
            raise FileNotFoundError(f"no such file: {path}")
        try:
            name = codecs.lookup(encoding).name
        except LookupError as error:
            raise ValueError(f"encoding must be one that Python knows, got {encoding!r}") from error
        self.encoding = "UTF-8" if name in ("utf-8", "ascii", "utf-8-sig") else encoding
        decoder = codecs.getincrementaldecoder(name)("surrogateescape") if self.encoding != "UTF-8" else None
        self._to_utf8: Callable[[bytes, bool], bytes] | None = None
        if decoder is not None:
            self._to_utf8 = lambda data, final: decoder.decode(data, final).encode("utf-8", "surrogateescape")
        self.compression = _compression(path)
        self._file = _open(path, self.compression)
        self._buffer, self._position = b"", 0
        self._ended = False
        self._failure: Exception | None = None
        self.consumed = 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def block(self, size: int) -> bytes:
        """Return the next whole lines, of about ``size`` bytes; nothing at the end.

        Raises:
            EOFError: a compressed file ends in the middle, and its whole lines have all been handed out.
            DamagedFileError: it is damaged.
        """
        while not self._ended and len(self._buffer) - self._position < size:
            self._fill(size)
        end = self._buffer.rfind(b"\n", self._position, self._position + size) + 1
        if end == 0:
            # A line that is longer than a block: to its end.
            return self.readline()
        return self._take(end)

    def readline(self) -> bytes:
        """Return the next line with its end; nothing at the end.

        Raises:
            EOFError: a compressed file ends in the middle, and its whole lines have all been handed out.
            DamagedFileError: it is damaged, or the line is longer than :data:`LONGEST_LINE`.
        """
        searched = self._position
        while True:
            end = self._buffer.find(b"\n", searched) + 1
            if end:
                return self._take(end)
            if self._ended:
                break
            if len(self._buffer) - self._position > LONGEST_LINE:
                raise DamagedFileError(f"a line of more than {LONGEST_LINE:,} bytes: these are no rows of a table")
            searched = len(self._buffer) - self._position
            self._fill(_CHUNK)
        if self._failure is not None:
            raise self._failure
        return self._take(len(self._buffer))

    def put_back(self, size: int) -> None:
        """Take back the last ``size`` bytes that were handed out, if they came from :meth:`block`."""
        self._position -= size
        self.consumed -= size

    def _take(self, end: int) -> bytes:
        taken = self._buffer[self._position : end]
        self.consumed += len(taken)
        self._position = end
        return taken

    def _fill(self, size: int) -> None:
        """Read on; what has been handed out is forgotten."""
        parts = [self._buffer[self._position :]]
        held = len(parts[0])
        while not self._ended and (len(parts) == 1 or held < size):
            data = self._read()
            parts.append(data)
            held += len(data)
        self._buffer, self._position = b"".join(parts), 0

    def _read(self) -> bytes:
        try:
            data: bytes = self._file.read1(_CHUNK)
            self._ended = not data
            return data if self._to_utf8 is None else self._to_utf8(data, self._ended)
        except EOFError as error:
            self._failure = error
        except UnicodeError as error:
            self._failure = DamagedFileError(f"not text in {self.encoding}: {error}")
        except _DAMAGED as error:
            self._failure = DamagedFileError(f"not a sound {self.compression or 'readable'} file: {error}")
        self._ended = True
        return b""


def _compression(path: Path) -> str | None:
    named = _SUFFIXES.get(path.suffix)
    if named is not None:
        return named
    with path.open("rb") as file:
        start = file.read(10)
    return next((name for name, magic in _MAGIC.items() if magic.match(start)), None)


def _open(path: Path, compression: str | None) -> Any:
    """A file with ``read1``."""
    if compression == "gzip":
        return gzip.open(path)
    if compression == "bzip2":
        return bz2.open(path)
    if compression == "xz":
        return _Xz(path)
    if compression == "zstd":
        return _Zstd(path)
    return path.open("rb")


class _Xz:
    """A file in xz's format, or several one after the other, read in bounded memory; ``lzma.open`` knows no bound."""

    def __init__(self, path: Path) -> None:
        self._raw = path.open("rb")
        self._decoder = self._new()

    def read1(self, size: int) -> bytes:
        while True:
            if self._decoder.eof:
                # Zeros may fill a file up; anything else is another stream.
                rest = self._decoder.unused_data.lstrip(b"\0")
                while not rest:
                    more = self._raw.read(1 << 16)
                    if not more:
                        return b""
                    rest = more.lstrip(b"\0")
                self._decoder = self._new()
            elif self._decoder.needs_input:
                rest = self._raw.read(1 << 16)
                if not rest:
                    raise EOFError("compressed file ended before the end of its stream")
            else:
                rest = b""
            try:
                data = self._decoder.decompress(rest, size)
            except lzma.LZMAError as error:
                if "Memory usage limit" not in str(error):
                    raise
                raise lzma.LZMAError(f"to read it takes more than {MOST_DICTIONARY >> 20} MiB of memory") from error
            if data:
                return data

    @staticmethod
    def _new() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(memlimit=MOST_DICTIONARY)

    def close(self) -> None:
        self._raw.close()


class _Zstd:
    """A file in Zstandard's format; frames that take more than 128 MiB to read are refused by the library."""

    def __init__(self, path: Path) -> None:
        self._raw = path.open("rb")
        self._file = pa.CompressedInputStream(self._raw, "zstd")

    def read1(self, size: int) -> bytes:
        # In small pieces: of the piece in which a truncated file ends, nothing is left.
        try:
            data: bytes = self._file.read(min(size, 1 << 16))
        except OSError as error:
            if "Truncated" in str(error):
                raise EOFError(str(error)) from error
            raise
        return data

    def close(self) -> None:
        self._file.close()
        self._raw.close()
