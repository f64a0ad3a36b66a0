"""What a task of the stager consists of: stages of items, each item with the ways in which it can be done. Pure."""

import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from errors.codes import ErrorCode
from ipc.parts import Attempt, Copy, Transfer
from ipc.tasks import CleanUp, StageIn, StageOut, StageTar, TransferLog
from movers.base import MoverError, Order
from movers.checksums import normal
from settings.settings import Tuning

StagerTask: TypeAlias = StageIn | StageOut | StageTar | TransferLog | CleanUp

#: Archives: 30 + 60 s and 5 MB/s (behaviour 6).
_ARCHIVE_SETUP_S = 90.0
_ARCHIVE_BYTES_PER_S = 5_000_000.0
_CLEANUP_LIMIT_S = 600.0
_DISCARD_LIMIT_S = 60.0
#: The mover's own time limit ends before that of the stager, so that its account of the matter survives (P79).
_INNER_LIMIT = 0.95


@dataclass(slots=True)
class Way:
    """One way to do an item: the order for the child, without its id, and for transfers the copy it stands for.

    `spent` when it failed for good, `missing` when it did so because there is no source.
    """

    message: dict[str, Any]
    copy: Copy | None = None
    spent: bool = False
    missing: bool = False

    @property
    def destination(self) -> str:
        """Where it writes to, "" when it is no transfer: an attempt there tidies up after the one before."""
        return self.copy.destination if self.copy is not None else ""


@dataclass(slots=True)
class Item:
    """One thing to do, and how far it is.

    Attributes:
        name: lfn, or what it is about.
        kind: of the transfer, or archive, remove, discard.
        inward: whether its codes are those of stage-in.
        size_bytes: -1 where unknown.
        rounds: how often all ways are tried.
        limit_s: wall limit of one attempt.
        failure: the way, code and text of the failure that is told if no way works.
    """

    name: str
    kind: str
    inward: bool
    ways: list[Way]
    rounds: int
    limit_s: float
    transfer: Transfer | None = None
    size_bytes: int = -1
    way: int = 0
    round: int = 0
    not_before: float = 0.0
    first_start: float = -1.0
    done_bytes: int = 0
    failure: tuple[Way, int, str] | None = None
    result: dict[str, Any] = field(default_factory=dict)
    ended_after_s: float = 0.0

    def fallback_code(self) -> int:
        """Return the code of a failure of which nothing more is known."""
        if self.kind == "archive":
            return int(ErrorCode.LOGFILECREATIONFAILURE)
        if self.kind in ("remove", "discard"):
            return int(ErrorCode.FILEHANDLINGFAILURE)
        return int(ErrorCode.STAGEINFAILED if self.inward else ErrorCode.STAGEOUTFAILED)

    def timeout_code(self) -> int:
        """Return the code of an attempt that stalled or took too long."""
        if self.kind == "archive":
            return int(ErrorCode.LOGCREATIONTIMEOUT)
        if self.kind in ("remove", "discard"):
            return int(ErrorCode.FILEHANDLINGFAILURE)
        return int(ErrorCode.STAGEINTIMEOUT if self.inward else ErrorCode.STAGEOUTTIMEOUT)


@dataclass(slots=True)
class Work:
    """One lease's work: its stages are done one after the other, the items of a stage side by side.

    Attributes:
        step: what it is called when progress is shown.
        deadline: monotonic time at which the whole of it is given up.
        ready: items of this stage that may begin.
        delayed: items that may begin again at their `not_before`.
        open_items: how many items of this stage are not over.
        files_done, files_total: of all stages.
        over_bytes, total_bytes: of the items that are over, and of all as far as known.
        attempts: at files, where they are to be told.
    """

    lease: str
    task: StagerTask
    step: str
    stages: list[list[Item]]
    deadline: float = float("inf")
    stage: int = -1
    ready: deque[Item] = field(default_factory=deque)
    delayed: list[Item] = field(default_factory=list)
    open_items: int = 0
    files_done: int = 0
    files_total: int = 0
    over_bytes: int = 0
    total_bytes: int = 0
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def traced(self) -> bool:
        """Whether attempts are to be told."""
        return not isinstance(self.task, CleanUp | StageTar) and self.task.traced

    def __post_init__(self) -> None:
        items = [item for stage in self.stages for item in stage]
        self.files_total = len(items)
        self.total_bytes = sum(max(0, item.size_bytes) for item in items)

    def next_stage(self) -> bool:
        """Go on to the first stage, or the next, that has items; False after the last."""
        while self.open_items == 0:
            self.stage += 1
            if self.stage >= len(self.stages):
                return False
            self.ready.extend(self.stages[self.stage])
            self.open_items = len(self.ready)
        return True


def plan(lease: str, task: StagerTask, now: float, tuning: Tuning) -> Work:
    """Return the work that `task` is.

    Raises:
        MoverError: the task cannot be carried out as it is given (impossible checksum).
    """
    token = token_of(lease)
    if isinstance(task, CleanUp):
        way = Way({"kind": "remove", "order": {"root": task.root, "paths": list(task.paths)}})
        item = Item("job directories", "remove", True, [way], tuning.transfer_attempts, _CLEANUP_LIMIT_S)
        return Work(lease, task, "clean-up", [[item]])
    if isinstance(task, TransferLog):
        stages = [[_archive_item(task, tuning)], [_transfer_item(task.transfer, "", token, tuning)]]
        deadline = now + task.deadline_s if task.deadline_s > 0 else float("inf")
        return Work(lease, task, "log", stages, deadline)
    if isinstance(task, StageTar):
        stages = [[_tar_item(task, tuning)], [_transfer_item(task.transfer, task.job_dir, token, tuning)]]
        return Work(lease, task, "events", stages)
    root = task.job_dir if isinstance(task, StageOut) else ""
    items = [_transfer_item(transfer, root, token, tuning) for transfer in task.transfers]
    return Work(lease, task, "stage-in" if isinstance(task, StageIn) else "stage-out", [items])


def discard_item(message: dict[str, Any]) -> Item:
    """Return the item that removes the partial file of a killed attempt."""
    way = Way({"kind": "discard", "order": message["order"]})
    return Item("partial file", "discard", True, [way], 1, _DISCARD_LIMIT_S)


def token_of(lease: str) -> str:
    """Return what all attempts at one task have in common in the names of their partial files."""
    key = lease.rsplit("/", 2)[0]
    return f"{zlib.crc32(key.encode('utf-8', 'surrogateescape')):08x}"


def wall_limit_s(size_bytes: int, tuning: Tuning) -> float:
    """Return the wall limit of one attempt at a file: set-up and a lowest rate, capped; the cap for an unknown size."""
    if size_bytes < 0:
        return tuning.transfer_limit_s
    return min(tuning.transfer_setup_s + size_bytes / tuning.transfer_bytes_per_s, tuning.transfer_limit_s)


def archive_limit_s(size_bytes: int, tuning: Tuning) -> float:
    """Return the time limit of packing `size_bytes`."""
    return min(_ARCHIVE_SETUP_S + size_bytes / _ARCHIVE_BYTES_PER_S, tuning.transfer_limit_s)


def _archive_item(task: TransferLog, tuning: Tuning) -> Item:
    order = {
        "job_dir": task.job_dir,
        "archive_path": task.archive_path,
        "top_name": task.top_name,
        "exclude": list(task.exclude),
        "extras": list(task.extras),
    }
    way = Way({"kind": "archive", "order": order})
    return Item(task.transfer.lfn, "archive", False, [way], 2, tuning.transfer_limit_s)


def _tar_item(task: StageTar, tuning: Tuning) -> Item:
    order = {"tar_path": task.tar_path, "members": list(task.members)}
    # The codes are those of a stage-out, and it counts as done when it is: the transfer tells the bytes.
    return Item(task.transfer.lfn, "tar", False, [Way({"kind": "tar", "order": order})], 1, tuning.transfer_limit_s)


def _transfer_item(transfer: Transfer, root: str, token: str, tuning: Tuning) -> Item:
    inward = transfer.kind in ("input", "transform")
    limit_s = wall_limit_s(transfer.size_bytes, tuning)
    checksum = normal(transfer.checksum)
    ways = []
    for copy in transfer.copies:
        order = Order(
            source=copy.source,
            destination=copy.destination,
            direction="in" if inward else "out",
            size_bytes=transfer.size_bytes,
            checksum=checksum,
            token=token,
            root=root,
            time_limit_s=limit_s * _INNER_LIMIT,
            mode=transfer.mode,
            # A copy that puts the file where the link would be needs none.
            link=transfer.link if transfer.link != copy.destination else "",
            refuse_empty=transfer.kind == "output",
        )
        ways.append(Way({"kind": "move", "mover": copy.copytool, "order": order._asdict()}, copy))
    if not ways:
        code = ErrorCode.NOREPLICAS if inward else ErrorCode.NOSTORAGE
        raise MoverError(code, f"{transfer.lfn}: there is no place to move it {'from' if inward else 'to'}")
    return Item(
        transfer.lfn, transfer.kind, inward, ways, max(1, tuning.transfer_attempts), limit_s,
        transfer=transfer, size_bytes=transfer.size_bytes,
    )  # fmt: skip
