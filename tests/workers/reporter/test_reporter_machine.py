"""The pure machine: order, deadlines, abandoned calls; random walks with a model."""

import random

import pytest

from ipc.results import NoJob
from workers.reporter.exchange import Answer, Failure, LocalCall, Lost
from workers.reporter.machine import Carry, Finish, GiveUp, Machine


class Talk:
    """A conversation of `steps` requests."""

    def __init__(self, name, steps=1, limit_s=10.0):
        self.what = name
        self.limit_s = limit_s
        self.left = steps
        self.replies = []

    def begin(self):
        return self._next()

    def heard(self, reply):
        self.replies.append(reply)
        if isinstance(reply, Lost):
            return Failure(text=reply.text, retry=True)
        self.left -= 1
        return self._next()

    def _next(self):
        return LocalCall(run=bytes) if self.left else NoJob(reason=self.what)


def test_one_call_at_a_time_in_order():
    machine = Machine()
    (first,) = machine.submit("a", Talk("a"), 0.0)
    assert isinstance(first, Carry)
    assert machine.submit("b", Talk("b"), 1.0) == []
    assert machine.doing == "a"
    finish, second = machine.heard(first.number, Answer(), 5.0)
    assert finish == Finish(lease="a", outcome=NoJob(reason="a"))
    assert isinstance(second, Carry)
    assert second.deadline == 15.0  # its time begins when it is sent, not when it was assigned
    assert machine.next_deadline() == 15.0
    assert machine.heard(second.number, Answer(), 6.0) == [Finish(lease="b", outcome=NoJob(reason="b"))]
    assert machine.next_deadline() is None
    assert machine.doing == "idle"


def test_conversation_without_request_ends_at_once():
    assert Machine().submit("a", Talk("a", steps=0), 0.0) == [Finish(lease="a", outcome=NoJob(reason="a"))]


def test_each_request_of_a_conversation_has_its_own_deadline():
    machine = Machine()
    (first,) = machine.submit("a", Talk("a", steps=2), 0.0)
    (second,) = machine.heard(first.number, Answer(), 9.0)
    assert (first.deadline, second.deadline) == (10.0, 19.0)
    assert first.number != second.number


def test_overdue_call_is_abandoned_and_its_late_answer_changes_nothing():
    machine = Machine()
    (call,) = machine.submit("a", Talk("update 3"), 0.0)
    assert machine.tick(9.9) == []
    give_up, finish = machine.tick(10.0)
    assert give_up == GiveUp(number=call.number)
    assert isinstance(finish, Finish)
    assert isinstance(finish.outcome, Failure)
    assert finish.outcome.retry
    assert "update 3" in finish.outcome.text
    assert "10 s" in finish.outcome.text
    assert machine.heard(call.number, Answer(), 11.0) == []
    assert machine.tick(100.0) == []


def test_cancel_of_the_call_under_way_abandons_it_and_goes_on():
    machine = Machine()
    (call,) = machine.submit("a", Talk("a"), 0.0)
    machine.submit("b", Talk("b"), 0.0)
    give_up, carry = machine.cancel("a", 1.0)
    assert give_up == GiveUp(number=call.number)
    assert isinstance(carry, Carry)
    assert machine.heard(call.number, Answer(), 2.0) == []


def test_cancel_of_a_waiting_or_unknown_lease_is_quiet():
    machine = Machine()
    (call,) = machine.submit("a", Talk("a"), 0.0)
    machine.submit("b", Talk("b"), 0.0)
    assert machine.cancel("b", 1.0) == []
    assert machine.cancel("nobody", 1.0) == []
    assert machine.heard(call.number, Answer(), 2.0) == [Finish(lease="a", outcome=NoJob(reason="a"))]


def test_lease_in_work_is_not_begun_twice():
    machine = Machine()
    machine.submit("a", Talk("a"), 0.0)
    assert machine.submit("a", Talk("a"), 0.0) == []
    machine.submit("b", Talk("b"), 0.0)
    assert machine.submit("b", Talk("b"), 0.0) == []


class Walk:
    """A machine driven at random, beside a model of what must come out."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.machine = Machine()
        self.mono = 0.0
        self.live = None
        self.old = []
        self.wanted = set()
        self.ended = []

    def perform(self, actions):
        for action in actions:
            if isinstance(action, Carry):
                assert self.live is None
                self.live = action.number
            elif isinstance(action, GiveUp):
                assert self.live == action.number
                self.old.append(self.live)
                self.live = None
            else:
                self.ended.append(action.lease)

    def reply(self, reply):
        number, self.live = self.live, None
        self.perform(self.machine.heard(number, reply, self.mono))

    def step(self, number):
        self.mono += self.chance.random() * 4
        what = self.chance.randrange(5)
        if what == 0:
            self.wanted.add(f"{number}")
            talk = Talk(f"{number}", steps=self.chance.randrange(4))
            self.perform(self.machine.submit(f"{number}", talk, self.mono))
        elif what == 1 and self.live is not None:
            self.reply(self.chance.choice([Answer(), Lost(text="x")]))
        elif what == 2 and self.old:
            assert self.machine.heard(self.chance.choice(self.old), Answer(), self.mono) == []
        elif what == 3 and self.wanted and self.chance.random() < 0.3:
            lease = self.chance.choice(sorted(self.wanted))
            if lease not in self.ended:
                self.wanted.discard(lease)
            self.perform(self.machine.cancel(lease, self.mono))
        else:
            self.perform(self.machine.tick(self.mono))


@pytest.mark.parametrize("seed", range(200))
def test_random_walk_answers_each_lease_once_or_never_when_cancelled(seed):
    walk = Walk(seed)
    for number in range(60):
        walk.step(number)
    while walk.live is not None:
        walk.reply(Answer())
    assert sorted(walk.ended) == sorted(walk.wanted)
