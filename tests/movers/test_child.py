"""The child program, as a real process."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from errors.codes import ErrorCode
from host.processes import read_row
from movers.child import arguments
from tests.movers.orders import adler32, noise, order_of
from tests.waiting import wait_until


@pytest.fixture
def child():
    process = subprocess.Popen(
        arguments(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    yield process
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        stream.close()


def ask(child: subprocess.Popen, **message: object) -> dict:
    child.stdin.write(json.dumps({"id": 1, **message}).encode() + b"\n")
    child.stdin.flush()
    while True:
        answer = json.loads(child.stdout.readline())
        assert answer.pop("id") == message.get("id", 1)
        if "done_bytes" not in answer:
            return answer


def test_carries_out_one_order_after_the_other(child, tmp_path: Path) -> None:
    data = noise(tmp_path / "a")
    for number in range(3):
        order = order_of(tmp_path / "a", tmp_path / f"b{number}", mode=0o700, link=str(tmp_path / "link"))
        answer = ask(child, id=number, kind="move", mover="cp", order=order._asdict())
        assert answer["result"]["checksum"] == adler32(data)
        assert (tmp_path / "link").readlink() == tmp_path / f"b{number}"
    assert ask(child, kind="discard", order=order._asdict()) == {"result": {}}
    gone = {"root": str(tmp_path), "paths": [str(tmp_path / "b0"), str(tmp_path / "b1")]}
    assert ask(child, kind="remove", order=gone) == {"result": {"removed": 2}}
    child.stdin.close()
    assert child.wait(5) == 0


def test_answers_every_failure(child, tmp_path: Path) -> None:
    order = order_of(tmp_path / "a", tmp_path / "b")._asdict()
    missing = ask(child, kind="move", mover="cp", order=order)["error"]
    assert missing == {
        "code": ErrorCode.MISSINGINPUTFILE,
        "text": "the source does not exist",
        "retry": False,
        "missing": True,
    }
    assert ask(child, kind="move", mover="nothing", order=order)["error"]["code"] == ErrorCode.UNKNOWNCOPYTOOL
    outward = {**order, "direction": "out"}
    assert ask(child, kind="move", mover="http", order=outward)["error"]["code"] == ErrorCode.UNKNOWNCOPYTOOL
    broken = ask(child, kind="move", mover="cp", order={**order, "source": 7})["error"]
    assert (broken["code"], broken["retry"]) == (ErrorCode.UNKNOWNEXCEPTION, True)
    assert ask(child, kind="dance", order={})["error"]["code"] == ErrorCode.UNKNOWNEXCEPTION
    assert ask(child, kind="discard", order=order) == {"result": {}}


def test_is_alone_in_its_session_and_sees_no_orders_through_its_standard_input(child, tmp_path: Path) -> None:
    ask(child, kind="discard", order=order_of(tmp_path / "a", tmp_path / "b")._asdict())
    assert read_row(child.pid).session == child.pid
    assert Path(f"/proc/{child.pid}/fd/0").readlink() == Path(os.devnull)
    assert Path(f"/proc/{child.pid}/fd/1").readlink() == Path(f"/proc/{child.pid}/fd/2").readlink()


def test_dies_with_its_parent_even_when_stopped(tmp_path: Path) -> None:
    program = (
        "import subprocess, sys, json\n"
        "from movers.child import arguments\n"
        "child = subprocess.Popen(arguments(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)\n"
        "order = {'id': 1, 'kind': 'remove', 'order': {'root': '/x', 'paths': []}}\n"
        "child.stdin.write(json.dumps(order).encode() + b'\\n'); child.stdin.flush(); child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    pid = int(parent.stdout.readline())
    os.kill(pid, signal.SIGSTOP)
    parent.kill()
    parent.communicate()
    wait_until(lambda: (row := read_row(pid)) is None or row.state in "ZX", 5, "the child's death")


def test_a_mover_that_does_not_report_is_watched_by_its_partial_file(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.mkdir()
    (program / "slow.py").write_text(
        "import os, threading\n"
        "from movers import child, registry\n"
        "from movers.base import Capabilities, Moved, partial_path\n"
        "CAPABILITIES = Capabilities(schemes=('slow',), reports_bytes=False)\n"
        "def move(order, report):\n"
        "    path = partial_path(order)\n"
        "    print('noise on standard output', flush=True)\n"
        "    with open(path, 'wb') as stream:\n"
        "        stream.write(b'x' * 5000)\n"
        "    os.read(os.open(order.source, os.O_RDONLY), 1)\n"
        "    os.unlink(path)\n"
        "    return Moved(5000, '', path)\n"
        "def main():\n"
        "    registry.MOVERS['slow'] = 'slow'\n"
        "    child._GROWTH_S = 0.01\n"
        "    child.serve({})\n"
    )
    os.mkfifo(tmp_path / "gate")
    with subprocess.Popen(
        [*arguments("slow"), str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as child:
        order = order_of(tmp_path / "gate", tmp_path / "b")._asdict()
        child.stdin.write(json.dumps({"id": 1, "kind": "move", "mover": "slow", "order": order}).encode() + b"\n")
        child.stdin.flush()
        assert json.loads(child.stdout.readline()) == {"id": 1, "done_bytes": 5000}
        (tmp_path / "gate").write_bytes(b"x")
        assert json.loads(child.stdout.readline())["result"]["size_bytes"] == 5000
        assert child.stderr.readline() == b"noise on standard output\n"
        child.stdin.close()
