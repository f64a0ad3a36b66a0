"""The one exception of a job definition that cannot be used."""

from errors.codes import ErrorCode
from errors.exceptions import JobError

_MAX_SHOWN = 60


class DefinitionError(JobError):
    """A job definition was refused; the job must fail with the code.

    Attributes:
        code: 1402, or the code that fits better (1149, 1190, 1302, 1312, 1371).
        field: the key of the definition that is at fault; "definition" for the text as a whole.
        text: what is wrong with it.
        job_id: the job's number when it could be read, so that the failure can be reported.
        attempt_nr: the attempt number when it could be read.
    """

    def __init__(self, field: str, text: str, code: int = ErrorCode.BADJOBDEFINITION) -> None:
        super().__init__(code, f"{field}: {text}")
        self.field = field
        self.text = text
        self.job_id: int | None = None
        self.attempt_nr: int | None = None


def shown(value: object) -> str:
    """Return the start of a foreign value, escaped, for an error text."""
    head = value[:_MAX_SHOWN] if isinstance(value, str) else repr(value)[:_MAX_SHOWN]
    return ascii(head)
