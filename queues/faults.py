"""The exceptions of this folder."""

from errors.codes import ErrorCode
from errors.exceptions import JobError, PilotError


class QueueError(PilotError):
    """Queue or storage data cannot be used, or the queue does not take jobs.

    Attributes:
        code: 1117, or 1116 (not obtained), 1323 (copy tool name), 1359 (not ACTIVE), 1386 (offline).
        field: the key at fault; "queuedata" or "storages" for a document as a whole.
        text: what is wrong with it.
    """

    def __init__(self, field: str, text: str, code: int = ErrorCode.QUEUEDATANOTOK) -> None:
        super().__init__(code, f"{field}: {text}")
        self.field = field
        self.text = text


class PlacementError(JobError):
    """A file of the job has no place to come from or to go to.

    Attributes:
        code: 1313, 1323, 1133 or 1329.
        field: the LFN, or "copytools" when no tool can be used at all.
    """

    def __init__(self, field: str, text: str, code: int) -> None:
        super().__init__(code, f"{field}: {text}")
        self.field = field
        self.text = text
