"""Reads the documents of the information service: JSON objects, tens of megabytes at most (protocol 8.1)."""

import json

from errors.codes import ErrorCode
from queues.faults import QueueError

MAX_BYTES = 256 * 1024 * 1024


def read_document(text: str | bytes, what: str) -> dict[str, object]:
    """Return the object in a document.

    Args:
        text: the document.
        what: "queuedata" or "storages", for the error.

    Raises:
        QueueError: 1116 for an empty document or one that says it is an error, 1117 for one that cannot be read.
    """
    if not text.strip():
        raise QueueError(what, "the document is empty", ErrorCode.QUEUEDATA)
    if len(text) > MAX_BYTES:
        raise QueueError(what, f"longer than {MAX_BYTES} bytes")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise QueueError(what, f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise QueueError(what, "not an object")
    if "error" in value:
        raise QueueError(what, f"the document tells an error: {str(value['error'])[:200]}", ErrorCode.QUEUEDATA)
    return value
