"""The storage element: a directory with the deterministic path rule (panda-protocol.md 8.5)."""

import hashlib
import random
import zlib
from pathlib import Path

_BLOCK_BYTES = 1 << 20
_COUNTER_BYTES = 8


def relative_path(scope: str, lfn: str) -> str:
    """Return the place of a file below the storage's directory."""
    # md5 is the rule of the storage, not a protection
    digest = hashlib.md5(f"{scope}:{lfn}".encode(), usedforsecurity=False).hexdigest()
    return "/".join([*scope.split("."), digest[:2], digest[2:4], lfn])


def write_random_file(path: Path, size_bytes: int) -> str:
    """Write a file of pseudo-random content that depends on its name and size only.

    One random block of 1 MiB is repeated with a counter in front, so that no two blocks are equal and 2 GiB cost
    little more than a copy.

    Returns:
        The adler32 checksum, 8 hex digits.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    block = random.Random(f"{path.name}:{size_bytes}").randbytes(min(size_bytes, _BLOCK_BYTES))  # noqa: S311 - test data
    checksum = zlib.adler32(b"")
    with path.open("wb") as file:
        for number, start in enumerate(range(0, size_bytes, _BLOCK_BYTES)):
            counter = number.to_bytes(_COUNTER_BYTES, "big") if number else block[:_COUNTER_BYTES]
            data = (counter + block[_COUNTER_BYTES:])[: size_bytes - start]
            checksum = zlib.adler32(data, checksum)
            file.write(data)
    return f"{checksum:08x}"
