"""The record of all requests: in memory, in a file when wanted, and open to long polls."""

import asyncio
import json
from pathlib import Path
from typing import Any, TextIO


class Record:
    """An append-only list of request entries.

    Each entry is a JSON object and gets its number as `n`. With a path, it is also appended as one JSON line,
    flushed at once.
    """

    def __init__(self, path: Path | None) -> None:
        self._entries: list[dict[str, Any]] = []
        self._first = 0
        self._news = asyncio.Event()
        self._file: TextIO | None = path.open("a", encoding="utf-8") if path else None

    @property
    def length(self) -> int:
        """The number of the next entry."""
        return self._first + len(self._entries)

    def append(self, entry: dict[str, Any]) -> None:
        """Number, keep and write one entry, and wake whoever waits."""
        entry["n"] = self.length
        self._entries.append(entry)
        if self._file:
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()
        self._news.set()
        self._news = asyncio.Event()

    def since(self, number: int) -> list[dict[str, Any]]:
        """Return the entries from this number on."""
        return self._entries[max(0, number - self._first) :]

    async def wait(self, number: int, timeout_s: float) -> list[dict[str, Any]]:
        """Return the entries from this number on as soon as there is one; an empty list after the timeout."""
        if self.length <= number:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._news.wait()
            except TimeoutError:
                return []
        return self.since(number)

    def clear(self) -> None:
        """Forget all entries in memory; the numbering goes on."""
        self._first = self.length
        self._entries.clear()

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()
