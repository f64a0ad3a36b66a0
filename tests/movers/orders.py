"""Orders and files for the movers' tests."""

import hashlib
import os
import zlib
from pathlib import Path

from movers.base import Order


def adler32(data: bytes) -> str:
    return f"adler32:{zlib.adler32(data):08x}"


def md5(data: bytes) -> str:
    return f"md5:{hashlib.md5(data).hexdigest()}"


def noise(path: Path, size_bytes: int = 3_000_000) -> bytes:
    data = os.urandom(size_bytes)
    path.write_bytes(data)
    return data


def order_of(source: Path | str, destination: Path | str, direction: str = "in", **fields: object) -> Order:
    return Order(source=str(source), destination=str(destination), direction=direction, token="t1", **fields)


def ignore(_done_bytes: int) -> None:
    pass


def left_over(folder: Path) -> list[Path]:
    return list(folder.glob(".*.part"))
