"""What is different in the answer to a final update: a person who is refused says nothing of the report itself."""

from collections.abc import Callable
from dataclasses import replace

from ipc.tasks import SendUpdate
from workers.reporter.exchange import Answer, Failure, Outcome, Reply

_NOT_THIS_PERSON = frozenset({401, 403})


def kept_whole(read: Callable[[Reply], Outcome], task: SendUpdate) -> Callable[[Reply], Outcome]:
    """Return `read` for an update; a final one that met a 401 or 403 is to be sent again as it is.

    A token or proxy may be renewed while it waits. A refusal for good would have it sent with fewer fields, which
    helps only against a server that minds one of them. Other updates are not worth a second refusal (case 11).
    """
    if not task.final:
        return read

    def judge(reply: Reply) -> Outcome:
        outcome = read(reply)
        if isinstance(outcome, Failure) and isinstance(reply, Answer) and reply.status in _NOT_THIS_PERSON:
            return replace(outcome, retry=True)
        return outcome

    return judge
