"""The error catalogue as the class that Harvester derives its own from."""

from typing import ClassVar

from errors.catalogue import describe, is_recoverable
from errors.codes import ErrorCode


class ErrorCodes:
    """Error codes as attributes (`ErrorCodes.GENERALERROR`), with their standard texts."""

    _error_messages: ClassVar[dict[int, str]] = {int(code): describe(code).text for code in ErrorCode}

    @classmethod
    def get_error_message(cls, errorcode: int) -> str:
        """Return the standard text of a code; one that is not known says so."""
        return cls._error_messages.get(abs(errorcode), describe(errorcode).text)

    @classmethod
    def is_recoverable(cls, code: int = 0) -> bool:
        """Tell whether the server may try a job again that failed with this code."""
        return is_recoverable(code)


for _code in ErrorCode:
    setattr(ErrorCodes, _code.name, int(_code))
