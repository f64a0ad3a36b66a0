"""The exceptions of the project: few, told apart by who must act; the code is a field."""

from errors.catalogue import diagnostics
from errors.codes import ErrorCode


class BulkheadError(Exception):
    """A failure that has a pilot error code.

    Attributes:
        code: the pilot error code.
        detail: what happened here, to follow the standard text.
    """

    def __init__(self, code: int = ErrorCode.INTERNALPILOTPROBLEM, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    @property
    def diagnostics(self) -> str:
        """The line for the server: standard text and detail, at most 256 characters."""
        return diagnostics(self.code, self.detail)

    def __str__(self) -> str:
        return self.diagnostics


class RetryError(BulkheadError):
    """The same step may succeed when it is tried again, here or elsewhere."""


class JobError(BulkheadError):
    """This job must fail with the code; the pilot itself is sound."""


class PilotError(BulkheadError):
    """The pilot cannot go on in this place, whatever the job."""
