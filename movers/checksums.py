"""Checksums as "type:hex" texts, computed in one pass; the global interpreter lock is free while they run.

adler32 is written as 8 lower-case digits with its leading zeros (pitfall P86).
"""

import os
import zlib
from typing import Protocol

from errors.codes import ErrorCode
from movers.base import MoverError, Report

_ADLER_MODULUS = 65521
_CHUNK = 256 * 1024
_ZEROS = bytes(_CHUNK)
_LENGTHS = {"adler32": 8, "md5": 32}
_TYPES = {"ad": "adler32", "adler32": "adler32", "md": "md5", "md5": "md5"}


class Hasher(Protocol):
    """A checksum in the making."""

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Add `data`."""

    def skip(self, count: int) -> None:
        """Add `count` zero bytes: a hole of a sparse file."""

    def text(self) -> str:
        """Return "type:hex"."""


class Adler32:
    """The adler32 of a stream."""

    def __init__(self) -> None:
        self._value = 1

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Add `data`."""
        self._value = zlib.adler32(data, self._value)

    def skip(self, count: int) -> None:
        """Add `count` zero bytes, without looking at them: the low half stays, the high half grows by it each time."""
        low, high = self._value & 0xFFFF, self._value >> 16
        self._value = ((high + low * count) % _ADLER_MODULUS) << 16 | low

    def text(self) -> str:
        """Return "adler32:" and 8 digits."""
        return f"adler32:{self._value:08x}"


class Md5:
    """The MD5 of a stream; it guards against accidents, not against forgers."""

    def __init__(self) -> None:
        import hashlib  # noqa: PLC0415 - most transfers never need it, and the child must start fast

        self._hash = hashlib.md5(usedforsecurity=False)

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Add `data`."""
        self._hash.update(data)

    def skip(self, count: int) -> None:
        """Add `count` zero bytes."""
        for _ in range(count // _CHUNK):
            self._hash.update(_ZEROS)
        self._hash.update(_ZEROS[: count % _CHUNK])

    def text(self) -> str:
        """Return "md5:" and 32 digits."""
        return f"md5:{self._hash.hexdigest()}"


def normal(checksum: str) -> str:
    """Return a checksum from outside ("ad:1", "AD:..", "md5:..") in the form used here; "" stays "".

    Raises:
        MoverError: unknown type or impossible digits (1314, permanent).
    """
    if not checksum:
        return ""
    prefix, colon, digits = checksum.strip().lower().partition(":")
    if not colon:
        prefix, digits = "adler32", prefix
    kind = _TYPES.get(prefix, "")
    length = _LENGTHS.get(kind, 0)
    if not digits or len(digits) > length or not all(char in "0123456789abcdef" for char in digits):
        raise MoverError(ErrorCode.UNKNOWNCHECKSUMTYPE, f"not a checksum: {checksum[:60]!r}")
    return f"{kind}:{digits.zfill(length)}"


def hasher(checksum: str, checksum_type: str) -> Hasher:
    """Return a hasher of the type of `checksum`, or of `checksum_type` where that is "".

    Raises:
        MoverError: unknown type (1314, permanent).
    """
    name = checksum.partition(":")[0] or checksum_type
    kind = _TYPES.get(name.lower())
    if kind is None:
        raise MoverError(ErrorCode.UNKNOWNCHECKSUMTYPE, f"unknown checksum type {name[:40]!r}")
    return Adler32() if kind == "adler32" else Md5()


def add_range(target: Hasher, descriptor: int, start: int, end: int, report: Report = lambda _done_bytes: None) -> int:
    """Add the bytes from `start` to `end` of a file; return where it ended early, or `end`."""
    buffer = bytearray(min(_CHUNK, max(1, end - start)))
    view = memoryview(buffer)
    at = start
    while at < end:
        count = os.preadv(descriptor, [view[: min(_CHUNK, end - at)]], at)
        if count == 0:
            break
        target.update(view[:count])
        at += count
        report(at)
    return at
