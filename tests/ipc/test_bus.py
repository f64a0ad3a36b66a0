"""The bus under honest and hostile peers: real ipc sockets, real forked processes (pitfalls H063-H068, P43-P49)."""

import itertools
import json
import multiprocessing
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from ipc.bus import HIGH_WATER_MARK, MAX_MESSAGE_BYTES, Address, Bus
from ipc.link import Link
from ipc.schema import SCHEMA_VERSION, Beat, Cancel, Hello, Stop
from tests.waiting import wait_until

FORK = multiprocessing.get_context("fork")
STAGER = Address("stager", 1)
REFUSED = zmq.Event.HANDSHAKE_FAILED_AUTH | zmq.Event.HANDSHAKE_FAILED_PROTOCOL | zmq.Event.HANDSHAKE_FAILED_NO_DETAIL


@pytest.fixture
def run_dir():
    with tempfile.TemporaryDirectory(prefix="bus-") as name:
        yield Path(name)


@pytest.fixture
def bus(run_dir):
    context = zmq.Context()
    bus = Bus(context, run_dir)
    yield bus
    bus.close()
    context.term()


@contextmanager
def forked(target, *arguments):
    """A process that does `target`; it exits 0 if that returns True."""

    def main():
        os._exit(0 if target(*arguments) else 1)

    process = FORK.Process(target=main, daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def keep_house(bus, until, timeout_s=10.0):
    """Do what the supervisor's loop does with the bus until something is seen; return the messages."""
    heard = []

    def seen():
        bus.answer_door()
        while (message := bus.receive()) is not None:
            heard.append(message)
        return until(heard)

    wait_until(seen, timeout_s, f"heard {heard[:3]}, dropped {dict(bus.dropped)}")
    return heard


def ended_well(process):
    return lambda _heard: process.exitcode == 0


def hello(role="stager", incarnation=1):
    return Hello(schema=SCHEMA_VERSION, role=role, incarnation=incarnation, pid=os.getpid())


def say_hello_and_wait_for_stop(invitation):
    """An honest worker."""
    link = Link(zmq.Context(), invitation)
    link.send(hello())
    link.socket.poll(10_000)
    return isinstance(link.receive(), Stop)


def is_refused(endpoint, frames, *, keys=None, name=b"stager.1"):
    """Connect as `name`, say `frames`; True as soon as libzmq tells that the other end refused the handshake."""
    socket = zmq.Context().socket(zmq.DEALER)
    socket.routing_id = name
    if keys:
        socket.curve_serverkey, socket.curve_publickey, socket.curve_secretkey = keys
    monitor = socket.get_monitor_socket(REFUSED | zmq.Event.DISCONNECTED)
    socket.connect(endpoint)
    socket.send_multipart(frames)
    return bool(monitor.poll(10_000)) and bool(recv_monitor_message(monitor))


def speak(invitation, frames, *, name=b""):
    """Join with an invitation, say each list of frames, and stay until killed."""
    socket = zmq.Context().socket(zmq.DEALER)
    socket.routing_id = name or invitation.identity
    socket.sndhwm = 0
    socket.curve_serverkey = invitation.server_key
    socket.curve_publickey = invitation.public_key
    socket.curve_secretkey = invitation.secret_key
    socket.connect(invitation.endpoint)
    for message in frames:
        socket.send_multipart(message)
    socket.poll(30_000)
    return False


@contextmanager
def guest(bus, target, *arguments, role="stager", incarnation=1, **keywords):
    """A process of ours: invited, forked, expected."""
    invitation = bus.invite(role, incarnation)
    with forked(lambda: target(invitation, *arguments, **keywords)) as process:
        bus.expect(role, incarnation, process.pid)
        yield process


def test_an_invited_worker_is_heard_and_answered(bus):
    with guest(bus, say_hello_and_wait_for_stop) as worker:
        heard = keep_house(bus, lambda heard: heard)
        assert heard == [(STAGER, Hello(schema=SCHEMA_VERSION, role="stager", incarnation=1, pid=worker.pid))]
        assert bus.send(STAGER, Stop())
        keep_house(bus, ended_well(worker))
    assert not bus.dropped


def job_finished():
    return [json.dumps(["Done", {"lease": "1.0:payload/1/1", "result": ["PayloadKilled", {"left": []}]}]).encode()]


def test_h063_a_process_without_keys_is_not_let_in(bus):
    bus.invite("stager", 1)
    with forked(is_refused, bus.endpoint, job_finished()) as payload:
        assert keep_house(bus, ended_well(payload)) == []


def test_h063_keys_of_its_own_do_not_help(bus):
    invitation = bus.invite("stager", 1)
    keys = (invitation.server_key, *zmq.curve_keypair())
    with forked(lambda: is_refused(bus.endpoint, job_finished(), keys=keys)) as payload:
        assert keep_house(bus, ended_well(payload)) == []
    assert bus.dropped["stranger"] >= 1


def test_h063_a_key_that_was_read_out_of_a_worker_is_of_no_use_to_another_process(bus):
    invitation = bus.invite("stager", 1)
    bus.expect("stager", 1, os.getpid())  # not the process that is forked next
    keys = (invitation.server_key, invitation.public_key, invitation.secret_key)
    with forked(lambda: is_refused(bus.endpoint, job_finished(), keys=keys)) as thief:
        assert keep_house(bus, ended_well(thief)) == []
    assert bus.dropped["stranger"] >= 1


def test_h064_a_socket_that_was_bound_there_before_gets_nothing(run_dir):
    context = zmq.Context()
    squatter = context.socket(zmq.ROUTER)
    squatter.bind(f"ipc://{run_dir / 'bus'}")
    bus = Bus(context, run_dir)
    with guest(bus, say_hello_and_wait_for_stop) as worker:
        assert keep_house(bus, lambda heard: heard)
        bus.send(STAGER, Stop())
        keep_house(bus, ended_well(worker))
    assert not squatter.poll(0)
    squatter.close(0)
    bus.close()
    context.term()


def test_h064_who_takes_the_path_later_learns_nothing_and_changes_nothing(bus, run_dir):
    with guest(bus, say_hello_and_wait_for_stop) as worker:
        assert keep_house(bus, lambda heard: heard)
        (run_dir / "bus").unlink()
        false_context = zmq.Context()
        false_bus = false_context.socket(zmq.ROUTER)
        false_bus.curve_server = 1
        false_bus.curve_publickey, false_bus.curve_secretkey = zmq.curve_keypair()
        false_bus.bind(bus.endpoint)
        with guest(bus, speak, [[b"secret"]], role="runner", incarnation=2):
            assert not false_bus.poll(300)
            bus.send(STAGER, Stop())
            keep_house(bus, ended_well(worker))
        false_bus.close(0)
        false_context.term()


def test_h065_a_worker_cannot_speak_under_the_name_of_another(bus):
    bus.invite("runner", 2)
    with guest(bus, speak, [job_finished()], name=b"runner.2"):
        assert keep_house(bus, lambda _heard: bus.dropped["false name"]) == []


def test_h066_a_frame_that_is_too_large_costs_its_sender_the_connection_only(bus):
    with (
        guest(bus, speak, [[bytes(MAX_MESSAGE_BYTES + 1)]], role="runner", incarnation=2),
        guest(bus, say_hello_and_wait_for_stop) as worker,
    ):
        assert [address for address, _ in keep_house(bus, lambda heard: heard)] == [STAGER]
        bus.send(STAGER, Stop())
        keep_house(bus, ended_well(worker))


@pytest.mark.timeout(120)
def test_h067_a_flood_of_empty_messages_is_counted_and_others_are_heard(bus):
    many = 100_000
    with guest(bus, speak, itertools.repeat([b""], many), role="runner", incarnation=2):
        keep_house(bus, lambda _heard: sum(bus.dropped.values()) > 1000)
        with guest(bus, say_hello_and_wait_for_stop):
            assert (STAGER, "Hello") in [
                (address, type(message).__name__) for address, message in keep_house(bus, lambda heard: heard, 60.0)
            ]
        keep_house(bus, lambda _heard: sum(bus.dropped.values()) >= many, 60.0)


GOOD = json.dumps(["Beat", {"progress": []}]).encode()
BROKEN = {
    "no frame of a message": [GOOD, GOOD],
    "not JSON": [b"{"],
    "not UTF-8": [b'["Beat", {"progress": "\xff\xfe"}]'],
    "empty": [b""],
    "a number": [b"1"],
    "a kind that is not known": [b'["Explode", {}]'],
    "a kind that is for workers": [b'["Stop", {}]'],
    "a field that is not known": [b'["Beat", {"progress": [], "exec": "id"}]'],
    "a field that is missing": [b'["Hello", {"schema": 1, "role": "stager", "incarnation": 1}]'],
    "a field of the wrong type": [b'["Hello", {"schema": "1", "role": "stager", "incarnation": 1, "pid": 1}]'],
    "true for a number": [b'["Hello", {"schema": true, "role": "stager", "incarnation": 1, "pid": 1}]'],
    "nested too deeply": [b"[" * 100_000],
    "a pickle": [b"\x80\x04K\x01."],
}


@pytest.mark.parametrize("frames", BROKEN.values(), ids=BROKEN)
def test_h068_what_is_no_message_is_dropped_and_counted_and_the_next_one_is_heard(bus, frames):
    with guest(bus, speak, [frames, [GOOD]]):
        assert keep_house(bus, lambda heard: heard) == [(STAGER, Beat(progress=()))]
    assert sum(bus.dropped.values()) == 1


def say_hello_and_say_it_again_when_told(invitation):
    link = Link(zmq.Context(), invitation)
    link.send(hello())
    link.socket.poll(10_000)
    link.send(hello())
    link.socket.poll(30_000)


def test_h068_an_old_generation_is_not_heard_any_more(bus):
    with guest(bus, say_hello_and_say_it_again_when_told):
        keep_house(bus, lambda heard: heard)
        with guest(bus, speak, [[GOOD]], incarnation=2):
            bus.send(STAGER, Stop())
            heard = keep_house(bus, lambda heard: heard and bus.dropped["unknown sender"])
            assert heard == [(Address("stager", 2), Beat(progress=()))]


def join_late(invitation, told):
    """Join with an old invitation once told to."""
    told.wait(10)
    keys = (invitation.server_key, invitation.public_key, invitation.secret_key)
    return is_refused(invitation.endpoint, job_finished(), keys=keys)


def test_h068_the_key_of_an_old_generation_opens_no_door(bus):
    told = FORK.Event()
    with guest(bus, join_late, told) as late:
        bus.invite("stager", 2)
        told.set()
        assert keep_house(bus, ended_well(late)) == []


def read_nothing(invitation):
    link = Link(zmq.Context(), invitation)
    link.send(hello())
    multiprocessing.Event().wait(30)


def test_a_worker_that_reads_nothing_makes_the_bus_refuse_and_never_wait(bus):
    with guest(bus, read_nothing):
        keep_house(bus, lambda heard: heard)
        big = Cancel(lease="x" * 100_000)
        sent = list(itertools.takewhile(bool, (bus.send(STAGER, big) for _ in range(20 * HIGH_WATER_MARK))))
        assert len(sent) < 20 * HIGH_WATER_MARK


def test_a_message_to_nobody_is_refused(bus):
    assert not bus.send(Address("runner", 9), Stop())


def test_a_path_that_is_too_long_for_a_socket_is_named(tmp_path):
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    context = zmq.Context()
    with pytest.raises(ValueError, match=str(deep)):
        Bus(context, deep)
    context.destroy(0)


def test_threads_meet_on_the_same_bus():
    context = zmq.Context()
    bus = Bus(context, None)
    link = Link(context, bus.invite("stager", 1))
    link.send(hello())
    assert keep_house(bus, lambda heard: heard) == [(STAGER, hello())]
    bus.send(STAGER, Stop())
    link.socket.poll(5000)
    assert link.receive() == Stop()
    link.close(0)
    bus.close()
    context.term()
