"""The stager's duty with real children, real files and real pipes, on a desk that records."""

import os
import signal
import socket
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from errors.codes import ErrorCode
from host.clock import now
from host.processes import process_table, read_row
from ipc.results import CleanedUp, LogTransferred, Staged
from ipc.tasks import CleanUp, FetchQueue
from movers.base import partial_name
from tests.movers.orders import adler32, left_over, noise
from tests.movers.small_disk import small_disk_at
from tests.workers.stager.desk import Bench
from tests.workers.stager.tasks import copy_of, one_in, one_out, stage_in, transfer_log
from workers.stager.plan import token_of

LEASE = "job 1/stage/1/1"
LARGE = 16 << 20


@pytest.fixture
def benches() -> Iterator[list[Bench]]:
    made: list[Bench] = []
    before = _children()
    yield made
    for bench in made:
        bench.close()
    assert _children() <= before


def _children() -> set[int]:
    """The living processes begun here; other tests of this process may have some."""
    return {pid for pid, row in process_table().items() if row.ppid == os.getpid() and row.state != "Z"}


@pytest.fixture
def bench(benches: list[Bench]) -> Bench:
    benches.append(Bench())
    return benches[0]


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/file"


def hold(bench: Bench, task, lease: str = LEASE) -> list[int]:
    """Begin `task`, and stop its children before they have finished."""
    bench.duty.assign(lease, task, now())
    pids = bench.duty.mover_pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    return pids


def test_stages_in_many_files_with_few_children(bench: Bench, tmp_path: Path) -> None:
    task = stage_in(tmp_path, count=30)
    ending = bench.carry_out(task)
    assert isinstance(ending.result, Staged), ending
    assert [file.lfn for file in ending.result.files] == [transfer.lfn for transfer in task.transfers]
    for transfer, file in zip(task.transfers, ending.result.files, strict=True):
        data = (tmp_path / "job" / transfer.lfn).read_bytes()
        assert adler32(data) == transfer.checksum == file.checksum
        assert (file.status, file.copytool, file.endpoint) == ("transferred", "cp", "SITE_DISK")
        assert file.surl == transfer.copies[0].source
    assert len(bench.duty.mover_pids) <= 4
    assert bench.seen[-1].files_total == 30
    assert bench.seen[-1].bytes_done <= bench.seen[-1].bytes_total == 30 * 200_000
    assert any(words.startswith("stage-in ") for words in bench.desk.shown)
    assert bench.desk.shown[-1] == "idle"


def test_stages_out(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    data = noise(tmp_path / "job" / "out0")
    task = one_out(tmp_path, copy_of(tmp_path / "job" / "out0", f"file://localhost{tmp_path}/store/out0"))
    ending = bench.carry_out(task)
    (file,) = ending.result.files
    assert (file.checksum, file.size_bytes, file.surl) == (adler32(data), len(data), f"{tmp_path}/store/out0")
    assert (tmp_path / "store" / "out0").read_bytes() == data


def test_children_stay_for_the_next_task_and_go_when_idle(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.stager.machine.IDLE_S", 0.3)
    bench.carry_out(stage_in(tmp_path), "one/1/1")
    pids = bench.duty.mover_pids
    bench.carry_out(stage_in(tmp_path), "two/1/1")
    assert bench.duty.mover_pids == pids
    bench.run_until(lambda: not bench.duty.mover_pids, 6, "the end of the idle children")
    bench.run_until(lambda: not bench.desk.callbacks, 2, "the reaping of the idle children")
    assert bench.duty.next_deadline() is None


def test_a_task_that_was_done_before_is_done_again_without_copying(bench: Bench, tmp_path: Path) -> None:
    task = stage_in(tmp_path, count=3)
    bench.carry_out(task)
    inodes = [(tmp_path / "job" / f"in{n}").stat().st_ino for n in range(3)]
    (tmp_path / "job" / "in1").write_bytes(b"!" * 200_000)
    assert isinstance(bench.carry_out(task, "job 1/stage/2/2").result, Staged)
    again = [(tmp_path / "job" / f"in{n}").stat().st_ino for n in range(3)]
    assert (again[0], again[2]) == (inodes[0], inodes[2])
    assert adler32((tmp_path / "job" / "in1").read_bytes()) == task.transfers[1].checksum


@pytest.mark.parametrize(
    ("copytool", "fields", "code", "words"),
    [
        ("cp", {"checksum": "adler32:00000001"}, 1171, "checksum"),
        ("cp", {"checksum": "md5:" + "0" * 32}, 1145, "checksum"),
        ("cp", {"size_bytes": 7}, 1175, "size 3000000 instead of 7"),
        ("teleport", {}, 1323, "teleport"),
        ("http", {}, 1099, "not a web address"),
    ],
)
def test_what_fails_names_file_tool_and_endpoint(
    bench: Bench, tmp_path: Path, copytool: str, fields: dict, code: int, words: str
) -> None:
    noise(tmp_path / "a")
    ending = bench.carry_out(one_in(tmp_path, copy_of(tmp_path / "a", tmp_path / "job" / "b", copytool), **fields))
    assert (ending.code, ending.retry) == (code, False)
    assert ending.diag.startswith(f"in0: {copytool} at SITE_DISK: ")
    assert words in ending.diag
    assert not (tmp_path / "job" / "b").exists()
    assert left_over(tmp_path / "job") == []


@pytest.mark.parametrize("kind", ["fifo", "missing", "wrong"])
def test_the_next_copy_is_taken_when_one_is_bad(bench: Bench, tmp_path: Path, kind: str) -> None:
    data = noise(tmp_path / "good")
    if kind == "fifo":
        os.mkfifo(tmp_path / "bad")
    elif kind == "wrong":
        noise(tmp_path / "bad", len(data))
    ending = bench.carry_out(
        one_in(
            tmp_path,
            copy_of(tmp_path / "bad", tmp_path / "job" / "b", endpoint="BAD"),
            copy_of(tmp_path / "good", tmp_path / "job" / "b", endpoint="GOOD"),
            checksum=adler32(data),
        )
    )
    assert ending.result.files[0].endpoint == "GOOD"
    assert (tmp_path / "job" / "b").read_bytes() == data


@pytest.mark.parametrize(("fields", "code"), [({}, 1165), ({"missing_ok": True}, 0)])
def test_a_missing_output(bench: Bench, tmp_path: Path, fields: dict, code: int) -> None:
    (tmp_path / "job").mkdir()
    ending = bench.carry_out(one_out(tmp_path, copy_of(tmp_path / "job" / "out0", tmp_path / "store" / "b"), **fields))
    assert ending.code == code
    if not code:
        assert ending.result.files[0].status == "missing"


@pytest.mark.parametrize(("kind", "code"), [("empty", 1191), ("fifo", 1165), ("passwd", 1165), ("directory", 1165)])
def test_bad_outputs(bench: Bench, tmp_path: Path, kind: str, code: int) -> None:
    out = tmp_path / "job" / "out0"
    out.parent.mkdir()
    match kind:
        case "empty":
            out.touch()
        case "fifo":
            os.mkfifo(out)
        case "passwd":
            out.symlink_to("/etc/passwd")
        case _:
            out.mkdir()
    ending = bench.carry_out(one_out(tmp_path, copy_of(out, tmp_path / "store" / "b")))
    assert ending.code == code
    assert not (tmp_path / "store" / "b").exists()


def test_a_silent_server_is_a_stall_and_the_next_copy_is_taken(
    benches: list[Bench], tmp_path: Path, silent_server: str
) -> None:
    bench = Bench(stall_limit_s=0.3)
    benches.append(bench)
    data = noise(tmp_path / "good")
    task = one_in(
        tmp_path,
        copy_of(silent_server, tmp_path / "job" / "b", "http"),
        copy_of(tmp_path / "good", tmp_path / "job" / "b"),
        checksum=adler32(data),
    )
    ending = bench.carry_out(task)
    assert ending.result.files[0].copytool == "cp"
    assert left_over(tmp_path / "job") == []


def test_only_stalls_end_in_the_time_out_code(benches: list[Bench], tmp_path: Path, silent_server: str) -> None:
    bench = Bench(stall_limit_s=0.2, transfer_attempts=2)
    benches.append(bench)
    ending = bench.carry_out(one_in(tmp_path, copy_of(silent_server, tmp_path / "job" / "b", "http")))
    assert ending.code == ErrorCode.STAGEINTIMEOUT
    assert "no byte moved for 0.2 s" in ending.diag


def test_the_wall_limit(benches: list[Bench], tmp_path: Path, silent_server: str) -> None:
    bench = Bench(transfer_setup_s=0.1, transfer_bytes_per_s=100.0, transfer_attempts=1)
    benches.append(bench)
    task = one_in(tmp_path, copy_of(silent_server, tmp_path / "job" / "b", "http"), size_bytes=20)
    ending = bench.carry_out(task)
    assert ending.code == ErrorCode.STAGEINTIMEOUT


def test_a_stopped_child_is_a_stall_and_is_killed(benches: list[Bench], tmp_path: Path) -> None:
    bench = Bench(stall_limit_s=0.5, transfer_parallel=1)
    benches.append(bench)
    task = stage_in(tmp_path)
    (pid,) = hold(bench, task)
    bench.run_until(lambda: LEASE in bench.desk.endings, what="the end of the task")
    assert isinstance(bench.desk.endings[LEASE].result, Staged)
    assert read_row(pid) is None
    assert adler32((tmp_path / "job" / "in0").read_bytes()) == task.transfers[0].checksum


def test_a_killed_child_is_replaced(bench: Bench, tmp_path: Path) -> None:
    for pid in hold(bench, stage_in(tmp_path, count=6)):
        os.kill(pid, signal.SIGKILL)
    bench.run_until(lambda: LEASE in bench.desk.endings, what="the end of the task")
    assert isinstance(bench.desk.endings[LEASE].result, Staged)
    assert left_over(tmp_path / "job") == []


def test_children_that_are_always_killed_fail_the_task_with_the_signal(benches: list[Bench], tmp_path: Path) -> None:
    bench = Bench(transfer_attempts=2)
    benches.append(bench)
    hold(bench, stage_in(tmp_path))
    while LEASE not in bench.desk.endings:
        for pid in bench.duty.mover_pids:
            os.kill(pid, signal.SIGKILL)
        bench.turn()
    ending = bench.desk.endings[LEASE]
    assert (ending.code, ending.retry) == (ErrorCode.STAGEINFAILED, True)
    assert "ended by signal 9" in ending.diag


def test_a_child_that_cannot_be_started(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.stager.children.arguments", lambda *_: [str(tmp_path / "no-python")])
    ending = bench.carry_out(stage_in(tmp_path))
    assert ending.retry
    assert "could not be started: No such file or directory" in ending.diag


def test_a_child_that_talks_nonsense_or_leaves(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.stager.children.arguments", lambda *_: ["cat", "/etc/hostname", "-"])
    assert bench.carry_out(stage_in(tmp_path), "a/1/1").retry
    monkeypatch.setattr("workers.stager.children.arguments", lambda *_: ["ls", str(tmp_path / "absent")])
    ending = bench.carry_out(stage_in(tmp_path), "b/1/1")
    assert "left with exit code 2: " in ending.diag
    assert "absent" in ending.diag


def test_cancel_kills_at_once_says_nothing_and_leaves_nothing(bench: Bench, tmp_path: Path, silent_server: str) -> None:
    (tmp_path / "job").mkdir()
    token = token_of(LEASE)
    destination = tmp_path / "job" / "b"
    (tmp_path / "job" / partial_name("b", token)).write_text("half")
    pids = hold(bench, one_in(tmp_path, copy_of(silent_server, destination, "http")))
    bench.duty.cancel(LEASE, now())
    bench.run_until(lambda: all(read_row(pid) is None for pid in pids), 3, "the children's end")
    bench.run_until(lambda: not left_over(tmp_path / "job"), 5, "the removal of the partial file")
    assert bench.desk.endings == {}
    assert bench.duty.progress() == ()


def test_stop_kills_all_children_stopped_ones_too(bench: Bench, tmp_path: Path) -> None:
    pids = hold(bench, stage_in(tmp_path, count=4))
    assert len(pids) == 4
    bench.duty.stop()
    bench.run_until(lambda: all(read_row(pid) is None for pid in pids), 3, "the children's end")


def test_a_tool_that_a_mover_started_dies_with_it(benches: list[Bench], tmp_path: Path, monkeypatch) -> None:
    bench = Bench(stall_limit_s=0.3, transfer_attempts=1)
    benches.append(bench)
    program = 'trap "" TERM; sleep 1000 & echo $! > "$0"; read order; wait'
    arguments = ["sh", "-c", program, str(tmp_path / "pid")]
    monkeypatch.setattr("workers.stager.children.arguments", lambda *_: arguments)
    assert bench.carry_out(stage_in(tmp_path)).code == ErrorCode.STAGEINTIMEOUT
    tool = int((tmp_path / "pid").read_text())
    bench.run_until(lambda: (row := read_row(tool)) is None or row.state == "Z", 3, "the tool's end")


def test_a_child_that_prints_without_end_is_bounded(benches: list[Bench], tmp_path: Path, monkeypatch) -> None:
    bench = Bench(stall_limit_s=0.5, transfer_attempts=1)
    benches.append(bench)
    monkeypatch.setattr("workers.stager.children.arguments", lambda *_: ["sh", "-c", "yes >&2"])
    assert bench.carry_out(stage_in(tmp_path)).code == ErrorCode.STAGEINTIMEOUT
    bench.duty.stop()
    monkeypatch.setattr("workers.stager.children.arguments", lambda *_: ["sh", "-c", "yes | tr -d '\\n'"])
    assert bench.carry_out(stage_in(tmp_path), "two/1/1").retry


def test_an_order_larger_than_a_pipe(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    names = [f"{'n' * 200}{number}" for number in range(3000)]
    (tmp_path / "job" / names[-1]).write_text("x")
    task = CleanUp(root=str(tmp_path), paths=tuple(str(tmp_path / "job" / name) for name in names))
    assert bench.carry_out(task).result == CleanedUp()
    assert list((tmp_path / "job").iterdir()) == []


def test_a_full_disk(bench: Bench, tmp_path: Path) -> None:
    data = noise(tmp_path / "a")
    with small_disk_at(tmp_path / "disk") as disk:
        ending = bench.carry_out(one_in(tmp_path, copy_of(tmp_path / "a", disk / "b"), checksum=adler32(data)))
        assert ending.code == ErrorCode.NOLOCALSPACE
        (tmp_path / "job").mkdir()
        out = one_out(tmp_path, copy_of(tmp_path / "job" / "out0", disk / "b"))
        noise(tmp_path / "job" / "out0")
        assert bench.carry_out(out, "job 1/out/1/1").code == ErrorCode.NOREMOTESPACE
        log = transfer_log(tmp_path, archive_path=str(disk / "log.tgz"))
        assert bench.carry_out(log, "job 1/log/1/1").code == ErrorCode.NOLOCALSPACE
        assert list(disk.iterdir()) == []


@pytest.mark.parametrize("copytool", ["cp", "mv"])
def test_transfers_the_log_again_and_again(bench: Bench, tmp_path: Path, copytool: str) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "payload.stdout").write_text("hello")
    (tmp_path / "job" / "in0").write_text("input")
    (tmp_path / "pilotlog.txt").write_text("pilot")
    task = transfer_log(tmp_path, copytool, exclude=("in0",), extras=(str(tmp_path / "pilotlog.txt"),), deadline_s=20.0)
    for attempt in range(2):
        ending = bench.carry_out(task, f"job 1/log/{attempt}/1")
        assert isinstance(ending.result, LogTransferred), ending
        file = ending.result.file
        data = (tmp_path / "logs" / "log.tgz").read_bytes()
        assert (file.kind, file.checksum, file.size_bytes) == ("log", adler32(data), len(data))
        with tarfile.open(tmp_path / "logs" / "log.tgz") as tar:
            names = [name.partition("/")[2] for name in tar.getnames()]
        assert names == ["", "payload.stdout", "pilotlog.txt"]
        (tmp_path / "job" / "payload.stdout").write_text("hello again")


def test_a_log_that_cannot_be_made(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ending = bench.carry_out(transfer_log(tmp_path, archive_path=str(tmp_path / "file" / "log.tgz")))
    assert ending.code == ErrorCode.LOGFILECREATIONFAILURE
    assert ending.diag.startswith("log.tgz: log archive: ")


def test_the_deadline_of_a_log(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    with (tmp_path / "job" / "large").open("wb") as stream:
        for _ in range(8):
            stream.write(os.urandom(1 << 20) * 16)
    ending = bench.carry_out(transfer_log(tmp_path, deadline_s=0.4))
    assert ending.code == ErrorCode.LOGCREATIONTIMEOUT
    assert not (tmp_path / "logs").exists()


def test_cleans_up_without_following_links(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    job = tmp_path / "work" / "PanDA_Pilot-1"
    job.mkdir(parents=True)
    (job / "link").symlink_to(tmp_path)
    (job / "file").symlink_to(tmp_path / "precious")
    task = CleanUp(root=str(tmp_path / "work"), paths=(str(job), str(tmp_path / "work" / "gone")))
    for attempt in range(2):
        assert bench.carry_out(task, f"job 1/clean/{attempt}/1").result == CleanedUp()
    assert not job.exists()
    assert (tmp_path / "precious").exists()
    outside = replace(task, paths=(str(tmp_path / "precious"),))
    assert bench.carry_out(outside, "job 1/clean/9/1").code == ErrorCode.FILEHANDLINGFAILURE
    assert (tmp_path / "precious").exists()


def test_two_leases_side_by_side(bench: Bench, tmp_path: Path) -> None:
    task = stage_in(tmp_path, count=6)
    bench.duty.assign("one/1/1", task, now())
    bench.duty.assign("two/1/1", CleanUp(root=str(tmp_path), paths=(str(tmp_path / "gone"),)), now())
    assert {part.lease for part in bench.duty.progress()} == {"one/1/1", "two/1/1"}
    bench.run_until(lambda: len(bench.desk.endings) == 2, what="both ends")


def test_other_roles_tasks_are_refused(bench: Bench) -> None:
    with pytest.raises(TypeError):
        bench.duty.assign(LEASE, FetchQueue(queue="Q", queue_sources=(), storage_sources=()), now())


def test_progress_is_shown_while_bytes_move(bench: Bench, tmp_path: Path) -> None:
    bench.carry_out(stage_in(tmp_path, size_bytes=LARGE))
    assert (bench.seen[0].name, bench.seen[0].bytes_total) == ("in0", LARGE)
