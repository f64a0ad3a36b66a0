"""The storage element: a directory with the deterministic path rule (panda-protocol.md 8.5)."""

import hashlib
import random
import zlib
from pathlib import Path

_BLOCK_BYTES = 1 << 20
_COUNTER_BYTES = 8
_ADLER_PRIME = 65521


def relative_path(scope: str, lfn: str) -> str:
    """Return the place of a file below the storage's directory."""
    # md5 is the rule of the storage, not a protection
    digest = hashlib.md5(f"{scope}:{lfn}".encode(), usedforsecurity=False).hexdigest()
    return "/".join([*scope.split("."), digest[:2], digest[2:4], lfn])


def write_random_file(path: Path, size_bytes: int) -> str:
    """Write a file of pseudo-random content that depends on its name and size only.

    One random block of 1 MiB is repeated with a counter in front, so that no two blocks are equal and the checksum
    costs next to nothing: 2 GiB take as long as writing them.

    Returns:
        The adler32 checksum, 8 hex digits.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = random.Random(f"{path.name}:{size_bytes}")  # noqa: S311 - test data
    block = bytearray(generator.randbytes(min(size_bytes, _BLOCK_BYTES)))
    rest = bytes(block[_COUNTER_BYTES:])
    rest_checksum = zlib.adler32(rest)
    full, last = divmod(size_bytes, _BLOCK_BYTES)
    checksum = zlib.adler32(b"")
    with path.open("wb") as file:
        for number in range(full):
            block[:_COUNTER_BYTES] = number.to_bytes(_COUNTER_BYTES, "big")
            checksum = zlib.adler32(block[:_COUNTER_BYTES], checksum)
            checksum = _joined(checksum, rest_checksum, len(rest))
            file.write(block)
        file.write(block[:last])
        checksum = zlib.adler32(block[:last], checksum)
    return f"{checksum:08x}"


def _joined(first: int, second: int, second_bytes: int) -> int:
    """Return the adler32 of two pieces in a row from those of the pieces.

    The low half is 1 plus the sum of the bytes, the high half the sum of all low halves on the way.
    """
    low = (first & 0xFFFF) + (second & 0xFFFF) - 1
    high = (first >> 16) + (second >> 16) + second_bytes * ((first & 0xFFFF) - 1)
    return high % _ADLER_PRIME << 16 | low % _ADLER_PRIME
