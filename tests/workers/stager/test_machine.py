"""The stager's decisions, without any process."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from errors.codes import ErrorCode
from ipc.results import CleanedUp, LogTransferred, Staged
from ipc.tasks import CleanUp
from settings.settings import Tuning
from tests.workers.stager.tasks import copy_of, one_in, one_out, transfer_log
from workers.stager.machine import (
    IDLE_S,
    Assigned,
    Cancelled,
    ChildDied,
    Dismiss,
    Fail,
    Finish,
    Give,
    Kill,
    StagerMachine,
    Tell,
    Ticked,
    Told,
)
from workers.stager.plan import archive_limit_s, token_of, wall_limit_s

HERE = Path("/nowhere")
TUNING = Tuning(
    stall_limit_s=100.0, retry_first_s=1.0, retry_cap_s=3.0, transfer_attempts=3, transfer_parallel=2,
    transfer_setup_s=1000.0,
)  # fmt: skip
MOVED = {"size_bytes": 5, "checksum": "adler32:00000001", "url": "/x"}


def error(retry: bool = True, missing: bool = False, code: int = 1099) -> dict:
    return {"error": {"code": code, "text": "no luck", "retry": retry, "missing": missing}}


class Play:
    """Drives a machine and answers for its children."""

    def __init__(self, tuning: Tuning = TUNING) -> None:
        self.machine = StagerMachine(tuning)
        self.now = 1000.0
        self.gives: list[Give] = []
        self.ends: list[Finish | Fail] = []
        self.kills: list[int] = []
        self.dismissed = 0
        self.told: list[Tell] = []

    def handle(self, event) -> None:
        for action in self.machine.handle(event, self.now):
            match action:
                case Give():
                    self.gives.append(action)
                case Kill():
                    self.kills.append(action.slot)
                case Dismiss():
                    self.dismissed += 1
                case Tell():
                    self.told.append(action)
                case _:
                    self.ends.append(action)

    def assign(self, task, lease: str = "job/1/1") -> None:
        self.handle(Assigned(lease, task))

    def tell(self, line: dict, give: Give | None = None) -> None:
        give = give or self.gives[-1]
        self.handle(Told(give.slot, give.message["id"], line))

    def go_on(self, seconds: float) -> None:
        """Let time pass, being woken as asked."""
        end = self.now + seconds
        while (deadline := self.machine.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.handle(Ticked())
        self.now = end
        self.handle(Ticked())

    @property
    def tools(self) -> list[str]:
        return [give.message.get("mover", give.message["kind"]) for give in self.gives]


def copies(*tools: str):
    return [copy_of(f"/src/{tool}", "/dst/f", tool, f"EP_{tool}") for tool in tools]


def test_copies_are_tried_in_order_and_in_rounds_with_growing_pauses() -> None:
    play = Play()
    play.assign(one_in(HERE, *copies("a", "b")))
    starts = []
    while not play.ends:
        starts.append((play.tools[-1], play.now))
        before = len(play.gives)
        play.tell(error())
        while not play.ends and len(play.gives) == before:
            play.go_on(0.25)
    assert starts == [("a", 1000), ("b", 1000), ("a", 1001), ("b", 1001), ("a", 1003), ("b", 1003)]
    assert play.ends == [Fail("job/1/1", 1099, "in0: b at EP_b: no luck", retry=False)]


def test_a_copy_that_failed_for_good_is_not_tried_again() -> None:
    play = Play()
    play.assign(one_in(HERE, *copies("a", "b")))
    play.tell(error(retry=False))
    play.tell(error())
    play.go_on(1.5)
    play.tell({"result": MOVED})
    assert play.tools == ["a", "b", "b"]
    (end,) = play.ends
    assert isinstance(end, Finish)
    assert isinstance(end.result, Staged)
    assert (end.result.files[0].copytool, end.result.files[0].endpoint) == ("b", "EP_b")
    assert end.result.files[0].duration_s == 1.5


def test_when_all_copies_failed_for_good_the_task_fails_at_once() -> None:
    play = Play()
    play.assign(one_in(HERE, *copies("a", "b")))
    play.tell(error(retry=False))
    play.tell(error(retry=False, code=1331))
    assert play.ends == [Fail("job/1/1", 1331, "in0: b at EP_b: no luck", retry=False)]


def test_a_last_resort_without_the_file_does_not_hide_what_was_wrong_elsewhere() -> None:
    play = Play()
    play.assign(one_in(HERE, *copies("a", "b")))
    play.tell(error(retry=False, code=1098))
    play.tell(error(retry=False, missing=True, code=1331))
    assert play.ends == [Fail("job/1/1", 1098, "in0: a at EP_a: no luck", retry=False)]


@pytest.mark.parametrize("allowed", [True, False])
def test_missing_sources(allowed: bool) -> None:
    play = Play()
    play.assign(one_out(HERE, *copies("a", "b"), missing_ok=allowed))
    play.tell(error(retry=False, missing=True, code=1165))
    assert play.ends == []
    play.tell(error(retry=False, missing=True, code=1165))
    (end,) = play.ends
    if allowed:
        assert isinstance(end, Finish)
        assert end.result.files[0].status == "missing"
    else:
        assert isinstance(end, Fail)
        assert end.code == ErrorCode.MISSINGOUTPUTFILE


@pytest.mark.parametrize(("make", "code"), [(one_in, 1151), (one_out, 1152)])
def test_a_stall_kills_the_child_and_counts_as_an_attempt(make, code: int) -> None:
    play = Play(replace(TUNING, transfer_attempts=2))
    play.assign(make(HERE, *copies("a")))
    play.go_on(90)
    play.tell({"done_bytes": 100})
    play.go_on(90)
    play.tell({"done_bytes": 100})
    assert play.kills == []
    play.go_on(10)
    assert play.kills == [0]
    play.go_on(1 + 100)
    assert play.kills == [0, 0]
    assert play.ends[0].code == code
    assert "no byte moved for 100 s" in play.ends[0].diag


def test_the_wall_limit_follows_the_size() -> None:
    play = Play(replace(TUNING, transfer_setup_s=200, transfer_bytes_per_s=1000, transfer_attempts=1))
    play.assign(one_in(HERE, *copies("a"), size_bytes=50_000))
    for step in range(249):
        play.tell({"done_bytes": step})
        play.go_on(1)
    assert play.kills == []
    play.go_on(1)
    assert play.kills == [0]
    assert (play.ends[0].code, "took longer than 250 s" in play.ends[0].diag) == (1151, True)


def test_limits() -> None:
    tuning = Tuning()
    assert wall_limit_s(0, tuning) == 400
    assert wall_limit_s(2_000_000_000, tuning) == 2400
    assert wall_limit_s(10**15, tuning) == wall_limit_s(-1, tuning) == 10_800
    assert archive_limit_s(0, tuning) == 90
    assert archive_limit_s(50_000_000, tuning) == 100
    assert archive_limit_s(10**15, tuning) == 10_800


def test_time_in_which_this_process_was_stopped_does_not_count() -> None:
    play = Play()
    play.assign(one_in(HERE, *copies("a")))
    play.go_on(99)
    play.now += 3000
    play.handle(Ticked())
    assert play.kills == []
    play.go_on(0.5)
    assert play.kills == []
    play.go_on(2)
    assert play.kills == [0]


def test_a_child_that_dies_counts_as_an_attempt_and_the_whole_may_be_tried_again() -> None:
    play = Play(replace(TUNING, transfer_attempts=2))
    play.assign(one_in(HERE, *copies("a")))
    play.handle(ChildDied(0, "the mover was ended by signal 9"))
    play.go_on(1)
    play.handle(ChildDied(0, "the mover was ended by signal 11"))
    assert play.ends == [Fail("job/1/1", 1099, "in0: a at EP_a: the mover was ended by signal 11", retry=True)]
    assert play.tools == ["a", "a", "discard"]


def test_what_a_dead_attempt_left_is_removed_unless_the_next_one_goes_to_the_same_place() -> None:
    first, second = copy_of("/src", "/here/f"), copy_of("/src", "/there/f")
    play = Play()
    play.assign(one_out(HERE, first, second))
    play.handle(ChildDied(0, "gone"))
    assert play.tools == ["cp", "cp", "discard"]
    assert play.gives[-1].message["order"]["destination"] == "/here/f"


def test_lines_of_an_attempt_that_is_over_change_nothing() -> None:
    play = Play()
    play.assign(one_in(HERE, *copies("a", "b")))
    first = play.gives[0]
    play.tell(error())
    play.tell({"result": MOVED}, first)
    play.handle(Told(7, 1, {"result": MOVED}))
    assert play.ends == []
    assert play.tools == ["a", "b"]


def test_no_more_run_side_by_side_than_allowed_and_slots_are_used_again() -> None:
    play = Play()
    transfers = tuple(replace(one_in(HERE, *copies("a")).transfers[0], lfn=f"f{n}") for n in range(5))
    play.assign(replace(one_in(HERE, *copies("a")), transfers=transfers))
    assert [give.slot for give in play.gives] == [0, 1]
    for number in range(5):
        play.tell({"result": MOVED}, play.gives[number])
    assert {give.slot for give in play.gives} == {0, 1}
    (end,) = play.ends
    assert [each.lfn for each in end.result.files] == ["f0", "f1", "f2", "f3", "f4"]


def test_one_file_that_fails_ends_the_others_and_removes_their_partial_files() -> None:
    play = Play()
    transfers = tuple(replace(one_in(HERE, *copies("a")).transfers[0], lfn=f"f{n}") for n in range(4))
    play.assign(replace(one_in(HERE, *copies("a")), transfers=transfers))
    play.tell(error(retry=False), play.gives[0])
    assert play.kills == [1]
    assert len(play.ends) == 1
    assert play.tools == ["a", "a", "discard"]


def test_cancel_kills_at_once_answers_nothing_and_touches_no_other_lease() -> None:
    play = Play()
    play.assign(one_in(HERE, *copies("a")), "one/1/1")
    play.assign(one_in(HERE, *copies("b")), "two/1/1")
    play.handle(Cancelled("one/1/1"))
    play.handle(Cancelled("unknown"))
    assert play.kills == [0]
    play.tell({"result": MOVED}, play.gives[1])
    assert [end.lease for end in play.ends] == ["two/1/1"]
    assert play.tools == ["a", "b", "discard"]


def test_a_log_is_packed_then_moved() -> None:
    play = Play()
    play.assign(transfer_log(HERE))
    play.tell({"total_bytes": 50})
    play.tell({"done_bytes": 40})
    (progress,) = play.machine.progress()
    assert (progress.step, progress.bytes_done, progress.bytes_total, progress.files_total) == ("log", 40, 50, 2)
    play.tell({"result": {"size_bytes": 7, "members": 3, "notes": []}})
    play.tell({"result": MOVED})
    assert play.tools == ["archive", "cp"]
    (end,) = play.ends
    assert isinstance(end.result, LogTransferred)
    assert (end.result.file.lfn, end.result.file.size_bytes, end.result.file.surl) == ("log.tgz", 5, "/x")


@pytest.mark.parametrize(("packed", "code"), [(False, 1376), (True, 1152)])
def test_a_log_has_a_deadline(packed: bool, code: int) -> None:
    play = Play()
    play.assign(transfer_log(HERE, deadline_s=20.0))
    if packed:
        play.go_on(10)
        play.tell({"result": {"size_bytes": 7, "members": 3, "notes": []}})
    play.go_on(20 - 10 * packed)
    assert play.kills == [0]
    assert play.ends[0].code == code


def test_packing_is_limited_by_its_size_once_that_is_known() -> None:
    play = Play()
    play.assign(transfer_log(HERE))
    play.tell({"total_bytes": 50_000_000})
    for step in range(99):
        play.tell({"done_bytes": step})
        play.go_on(1)
    assert play.kills == []
    play.go_on(1)
    assert play.kills == [0]


def test_clean_up() -> None:
    play = Play()
    play.assign(CleanUp(root="/r", paths=("/r/a",)))
    assert play.gives[0].message["order"] == {"root": "/r", "paths": ["/r/a"]}
    play.tell({"result": {"removed": 1}})
    assert play.ends == [Finish("job/1/1", CleanedUp())]


def test_tasks_that_cannot_be_carried_out() -> None:
    play = Play()
    play.assign(one_in(HERE, *copies("a"), checksum="crc:1"))
    play.assign(one_in(HERE))
    play.assign(one_out(HERE))
    assert [end.code for end in play.ends] == [1314, 1326, 1133]
    play.assign(replace(one_in(HERE), transfers=()))
    assert play.ends[-1] == Finish("job/1/1", Staged(files=()))


def test_a_transform_has_a_code_of_its_own() -> None:
    play = Play()
    play.assign(one_in(HERE, *copies("http"), kind="transform"))
    play.tell(error(retry=False, code=1331))
    assert play.ends[0].code == ErrorCode.TRFDOWNLOADFAILURE


def test_children_are_let_go_when_idle_and_the_machine_sleeps_then() -> None:
    play = Play()
    assert play.machine.next_deadline() is None
    play.assign(one_in(HERE, *copies("a")))
    play.tell({"result": MOVED})
    play.go_on(IDLE_S - 0.1)
    assert play.dismissed == 0
    play.go_on(0.2)
    assert play.dismissed == 1
    assert play.machine.next_deadline() is None


def test_attempts_at_one_task_share_their_partial_files_and_no_others() -> None:
    assert token_of("job 7/stage-in/1/1") == token_of("job 7/stage-in/2/9")
    assert token_of("job 7/stage-in/1/1") != token_of("job 8/stage-in/1/1")


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_every_lease_ends_once_and_nothing_is_left(seed: int) -> None:
    chance = random.Random(seed)
    play = Play()
    leases = [f"job {number}/1/1" for number in range(6)]
    waiting = list(leases)
    cancelled = set()
    answered: set[int] = set()
    for _ in range(3000):
        if waiting and chance.random() < 0.1:
            make = chance.choice([one_in, one_out])
            task = make(HERE, *copies("a", "b"), missing_ok=chance.random() < 0.5)
            play.assign(chance.choice([task, transfer_log(HERE, deadline_s=chance.choice([0.0, 50.0]))]), waiting.pop())
        open_gives = [give for give in play.gives if give.message["id"] not in answered]
        if open_gives:
            give = chance.choice(open_gives)
            kind = chance.random()
            if kind < 0.3:
                play.tell({"done_bytes": chance.randrange(100)}, give)
            elif kind < 0.5:
                answered.add(give.message["id"])
                play.tell(error(chance.random() < 0.7, chance.random() < 0.2), give)
            elif kind < 0.6:
                answered.add(give.message["id"])
                play.tell({"result": {**MOVED, "removed": 1, "members": 1, "notes": []}}, give)
            elif kind < 0.65:
                play.handle(ChildDied(give.slot, "gone"))
        if chance.random() < 0.02:
            lease = chance.choice(leases)
            play.handle(Cancelled(lease))
            cancelled.add(lease)
        play.go_on(chance.choice([0.0, 0.1, 1.0, 30.0]))
    play.go_on(20_000)
    ended = [end.lease for end in play.ends]
    assert len(ended) == len(set(ended))
    assert set(ended) | cancelled == set(leases)
    assert play.machine.progress() == ()
    assert play.machine.next_deadline() is None


def test_each_attempt_is_told_before_the_end_if_asked_for() -> None:
    play = Play()
    play.assign(replace(one_in(HERE, *copies("a", "b")), traced=True))
    play.go_on(1)
    play.tell(error())
    play.go_on(2)
    play.tell({"result": MOVED})
    (told,) = play.told
    assert [(each.copytool, each.code, each.size_bytes) for each in told.attempts] == [("a", 1099, -1), ("b", 0, 5)]
    assert [each.ended_wall - each.began_wall for each in told.attempts] == [1.0, 3.0]
    assert [each.ended_wall - each.started_wall for each in told.attempts] == [1.0, 2.0]
    assert (told.lease, len(play.ends)) == (play.ends[0].lease, 1)


def test_attempts_of_a_task_that_fails_are_told_too() -> None:
    play = Play(replace(TUNING, transfer_attempts=1))
    play.assign(replace(one_in(HERE, *copies("a")), traced=True))
    play.tell(error(retry=False, code=1171))
    (told,) = play.told
    assert [each.code for each in told.attempts] == [1171]


def test_nothing_is_told_of_what_was_not_tried_or_not_asked_for() -> None:
    play = Play()
    play.assign(one_in(HERE, *copies("a")))
    play.tell({"result": MOVED})
    missing = replace(one_out(HERE, *copies("a")), traced=True)
    transfers = tuple(replace(each, missing_ok=True) for each in missing.transfers)
    play.assign(replace(missing, transfers=transfers), "two/1/1")
    play.tell(error(missing=True, retry=False), play.gives[1])
    play.assign(replace(one_in(HERE, *copies("a")), traced=True), "three/1/1")
    play.handle(Cancelled("three/1/1"))
    assert play.told == []
