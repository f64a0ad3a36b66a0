"""Tells of the end of processes through the loop's poller, where the kernel has pidfds."""

import os
from collections.abc import Callable

from host.processes import Identity, is_alive, open_pidfd
from workers.worker import Desk


class ProcessWatch:
    """The pidfds of one piece of work; `complete` says whether every process asked for is watched."""

    def __init__(self, desk: Desk, notice: Callable[[], None]) -> None:
        """Call `notice` when a watched process ends."""
        self._desk = desk
        self._notice = notice
        self._descriptors: dict[Identity, int] = {}
        self._ended: set[Identity] = set()
        self.complete = True

    def add(self, who: Identity | None) -> None:
        """Watch a process; one that is watched or gone already is left alone."""
        if who is None or who in self._descriptors or who in self._ended:
            return
        descriptor = open_pidfd(who)
        if descriptor is None:
            # Gone in this moment, or an old kernel.
            self.complete = self.complete and not is_alive(who)
            return
        self._descriptors[who] = descriptor
        self._desk.watch(descriptor, lambda: self._over(who))

    def _over(self, who: Identity) -> None:
        if is_alive(who):
            # The loop may still mean the descriptor that had this number before.
            return
        # A pidfd stays readable for ever once its process has ended.
        self._ended.add(who)
        self._drop(self._descriptors.pop(who))
        self._notice()

    def _drop(self, descriptor: int) -> None:
        self._desk.unwatch(descriptor)
        os.close(descriptor)

    def close(self) -> None:
        """Watch nothing any more."""
        for descriptor in self._descriptors.values():
            self._drop(descriptor)
        self._descriptors.clear()
