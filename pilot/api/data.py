"""Transfers for Harvester's preparators: the call is understood, a transfer is refused (not built in this version)."""

from collections.abc import Sequence
from typing import Any

from errors.codes import ErrorCode
from errors.exceptions import PilotError
from pilot.info.filespec import FileSpec


class StageInClient:
    """Takes all forms of its call that are in use; every transfer fails with 1323, told in each file."""

    def __init__(self, infosys_instance: Any = None, acopytools: Any = None, logger: Any = None, **more: Any) -> None:
        self.infosys = infosys_instance
        self.acopytools = acopytools
        self.logger = logger
        self.options = more

    def transfer(
        self, files: Sequence[FileSpec], _activity: str = "default", *, raise_exception: bool = True, **_more: Any
    ) -> Sequence[FileSpec]:
        """Refuse to bring files.

        Raises:
            PilotError: 1323, unless `raise_exception` is off.
        """
        for file in files:
            file.status, file.status_code = "failed", int(ErrorCode.UNKNOWNCOPYTOOL)
        if raise_exception:
            raise PilotError(ErrorCode.UNKNOWNCOPYTOOL, "transfers for other programs are not built in this version")
        return files
