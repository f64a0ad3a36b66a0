"""Transfers for Harvester's plug-ins, with a pilot's copy tools (hpc-and-harvester 9).

Importing starts nothing; a call changes neither directory, environment nor signal handlers of the program, and may be
made in several threads at once.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from errors.exceptions import BulkheadError, PilotError
from errors.redaction import redact
from movers.base import MoverError
from pilot.api.carrier import STALL_S, Carrier
from pilot.api.routes import Folders, Router, Step, known_tools, size_of
from pilot.info.documents import described
from pilot.info.filespec import FileSpec

_ROUNDS = 2
#: A file may take 400 s and as long as 1 MB/s needs, in all no more than three hours (behaviour 6).
_SETUP_S, _BYTES_PER_S, _LIMIT_S = 400.0, 1_000_000.0, 10_800.0


class TransferError(PilotError):
    """The first of the files that could not be brought."""

    @property
    def message(self) -> str:
        """What happened."""
        return str(self)

    def get_error_code(self) -> int:
        """Return the pilot error code."""
        return int(self.code)


class _Client:
    """What both directions have in common.

    A copy tool that is asked for and is not available gives way to those of the queue.
    """

    _direction: ClassVar[str] = "in"

    def __init__(
        self,
        infosys_instance: Any = None,
        acopytools: Any = None,
        logger: Any = None,
        default_copytools: Any = None,
        **more: Any,
    ) -> None:
        """Take all forms of the call that are in use: an information service, or `site` alone.

        `workdir` is where files go to or lie that name none; `stall_s` and `limit_s` shorten the limits.
        """
        self.queue = str(getattr(infosys_instance, "pandaqueue", "") or more.get("site") or "")
        self.acopytools = acopytools
        self.default_copytools = default_copytools
        self.logger = logger or logging.getLogger("pilot.api.data")
        self.workdir = str(more.get("workdir") or "")
        self.stall_s = float(more.get("stall_s") or STALL_S)
        self.limit_s = float(more.get("limit_s") or _LIMIT_S)

    def transfer(
        self,
        files: Sequence[Any],
        activity: str | Sequence[str] = "default",
        raise_exception: bool = True,
        **more: Any,
    ) -> Sequence[Any]:
        """Bring files, one after the other, and write into each of them what became of it.

        Args:
            files: `FileSpec`s, or, as older plug-ins have them, dictionaries with `scope`, `name`, `destination`, whose
                outcome is in `errno` (0 or a pilot error code).
            activity: what the copy tools are chosen by; one name or several in order.
            raise_exception: raise the first failure when all files were tried; never for dictionaries.
            more: `workdir`, `input_dir`, `output_dir`.

        Returns:
            The files given.

        Raises:
            TransferError: the first failure.
        """
        specs = [_from_mapping(file) if isinstance(file, Mapping) else file for file in files]
        activities = (activity,) if isinstance(activity, str) else tuple(activity)
        router = self._router(activities, more)
        first: TransferError | None = None
        with Carrier(self.stall_s) as carrier:
            for given, spec in zip(files, specs, strict=True):
                failure = self._bring(carrier, router, spec)
                if isinstance(given, dict):
                    given.update(errno=spec.status_code, status=spec.status, errmsg=spec.status_text)
                elif failure is not None and first is None:
                    first = failure
        if first is not None and raise_exception:
            raise first
        return files

    def _router(self, activities: Sequence[str], more: Mapping[str, Any]) -> Router:
        tools = known_tools(self.acopytools, self.default_copytools, activities)
        if not tools and (self.acopytools or self.default_copytools):
            self.logger.warning("none of the copy tools asked for is available: those of queue %s are used", self.queue)
        given = str(more.get("workdir") or self.workdir)
        folders = Folders(
            workdir=str(Path(given).absolute()) if given else "",
            input_dir=str(more.get("input_dir") or ""),
            output_dir=str(more.get("output_dir") or ""),
        )
        return Router(lambda: described(self.queue, tools), folders, tools)

    def _bring(self, carrier: Carrier, router: Router, file: FileSpec) -> TransferError | None:
        """Bring one file; return the failure, which the file tells too."""
        try:
            steps = router.inward(file) if self._direction == "in" else router.outward(file)
            self._carry(carrier, file, steps)
        except MoverError as error:
            failure = TransferError(error.code, f"{file.scope}:{file.lfn}: {redact(error.text)}")
        except BulkheadError as error:
            failure = TransferError(int(error.code), f"{file.scope}:{file.lfn}: {redact(error.detail)}")
        else:
            return None
        file.status, file.status_code, file.status_text = "failed", int(failure.code), str(failure)
        self.logger.error("%s", failure)
        return failure

    def _carry(self, carrier: Carrier, file: FileSpec, steps: Sequence[Step]) -> None:
        """Try the ways in turn, twice those that may pass.

        Raises:
            MoverError: the first failure that is not about a missing source, or the first one.
        """
        failures: list[MoverError] = []
        size = size_of(file)
        limit_s = min(_SETUP_S + size / _BYTES_PER_S, self.limit_s) if size else self.limit_s
        left = list(steps)
        for _ in range(_ROUNDS):
            for step in list(left):
                order = step.order._replace(time_limit_s=limit_s)
                try:
                    moved = carrier.carry(step.tool, order, limit_s)
                except MoverError as error:
                    failures.append(error)
                    if not error.retry:
                        left.remove(step)
                else:
                    kind, _, value = moved.checksum.partition(":")
                    file.filesize = moved.size_bytes
                    if value:
                        file.checksum = {kind: value}
                    file.turl, file.ddmendpoint = step.url, step.endpoint or file.ddmendpoint
                    file.status, file.status_code, file.status_text = "transferred", 0, ""
                    return
        raise next((failure for failure in failures if not failure.missing), failures[0])


class StageInClient(_Client):
    """Brings files to this machine."""


class StageOutClient(_Client):
    """Brings files from this machine to the queue's storages, `output_dir`, or the place that a file names (`turl`)."""

    _direction = "out"


def _from_mapping(file: Mapping[str, Any]) -> FileSpec:
    known = {key: file[key] for key in ("scope", "filesize", "checksum", "turl", "surl", "guid") if file.get(key)}
    folder = str(file.get("destination") or file.get("workdir") or "")
    return FileSpec(lfn=str(file.get("name") or file.get("lfn") or ""), workdir=folder, **known)
