"""What a payload may do to its surroundings, and what it must not find there."""

import json
import os
import platform
import py_compile
from pathlib import Path

import pytest

from errors.codes import ErrorCode
from ipc.parts import Variable
from tests.workers.runner.rig import PYTHON
from workers.runner import running
from workers.runner import shim as shim_program


def test_the_environment_is_exactly_the_one_given(place):
    environment = (
        Variable(name="PATH", value="/usr/bin:/bin"),
        Variable(name="EMPTY", value=""),
        Variable(name="ODD", value="a=b c\n\"'$é"),
    )
    place.run("cat /proc/$$/environ > environment", environment=environment)
    raw = (place.job_dir / "environment").read_bytes()
    expected = {f"{variable.name}={variable.value}".encode() for variable in environment}
    assert set(raw.split(b"\0")[:-1]) == expected


def test_no_descriptor_is_inherited(place):
    leaked = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        place.run("exec ls -l /proc/self/fd")
    finally:
        os.close(leaked)
    links = [line.split()[-3:] for line in place.stdout().splitlines()[1:]]
    assert [link[0] for link in links] == ["0", "1", "2", "3"]
    assert links[0][2] == "/dev/null"
    assert links[1][2] == str(place.job_dir / "payload.stdout")
    assert links[2][2] == str(place.job_dir / "payload.stderr")
    assert links[3][2].startswith("/proc/")


def test_signals_umask_and_directory_are_the_usual_ones(place):
    old = os.umask(0o077)
    try:
        place.run("grep -E '^Sig(Blk|Ign)' /proc/self/status; umask; pwd; ps -o sid= -p $$; echo $$")
    finally:
        os.umask(old)
    blocked, ignored, umask, cwd, session, pid = place.stdout().split("\n")[:6]
    # Signals 32 and 33 belong to the C library, which lets nobody change them: they are as they were inherited.
    others = ~(0b11 << 31)
    assert (int(blocked.split()[1], 16), int(ignored.split()[1], 16) & others) == (0, 0)
    assert (umask, cwd) == ("0022", str(place.job_dir))
    assert session.strip() == pid


def test_the_shim_hides_its_memory_and_names_itself(place):
    place.start("touch ready; exec sleep 60", ready="ready")
    shim = place.facts().shim
    proc = Path(f"/proc/{shim.pid}")
    assert (proc / "environ").stat().st_uid == (os.getuid() if shim_program._proc_hides() else 0)
    words = (proc / "cmdline").read_text().split("\0")
    assert "bulkhead: shim [job 7]" in words
    assert not any("sleep" in word for word in words)
    assert (proc / "comm").read_text() == "bulkhead: shim\n"


@pytest.mark.parametrize("kind", ["link", "fifo", "hard link", "file"])
@pytest.mark.parametrize("name", ["payload.stdout", "payload.stderr"])
def test_h070_h071_output_files_placed_by_someone_are_not_followed(place, tmp_path, kind, name):
    place.prepare()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path = place.job_dir / name
    if kind == "link":
        path.symlink_to(victim)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "hard link":
        path.hardlink_to(victim)
    else:
        path.write_text("old")
    result = place.run("echo out; echo err >&2")
    assert result.error_code == 0
    assert victim.read_text() == "precious"
    assert path.read_text() == ("out\n" if name == "payload.stdout" else "err\n")


def test_a_directory_in_place_of_an_output_file_fails_with_the_reason(place):
    place.prepare()
    (place.job_dir / "payload.stdout").mkdir()
    result = place.run("touch ran")
    assert result.error_code == ErrorCode.PAYLOADEXECUTIONEXCEPTION
    assert "directory" in result.error_diag
    assert not (place.job_dir / "ran").exists()


def test_a_job_directory_that_is_gone_fails_with_the_reason(place):
    place.prepare()
    place.job_dir.rmdir()
    place.assign("exit 0")
    result = place.wait()
    assert result.error_code == ErrorCode.PAYLOADEXECUTIONEXCEPTION
    assert str(place.job_dir) in result.error_diag


def test_h084_daemons_are_ended_after_the_payload(place):
    daemon = "import os,signal,time; signal.signal(15, signal.SIG_IGN); os.fork() and os._exit(0); os.setsid()"
    daemon += "; os.fork() and os._exit(0); open('daemon', 'w').write('x'); time.sleep(60)"
    result = place.run(f'{PYTHON} -c "{daemon}"; until [ -s daemon ]; do sleep 0.01; done; exit 9')
    assert result.exit_code == 9
    assert place.processes() == []


@pytest.mark.parametrize("command", ["kill -9 0", "kill -9 -$$", "kill -9 $PPID"])
def test_h083_kills_of_its_surroundings_do_not_reach_the_runner(place, command):
    result = place.run(f"sleep 60 & {command}; exec sleep 60")
    assert result.error_code in (ErrorCode.PAYLOADEXECUTIONFAILURE, ErrorCode.PAYLOADLOST)
    assert place.processes() == []


def test_h091_closing_everything_early_is_no_end(place):
    result = place.run("exec 0<&- 1>&- 2>&-; sleep 0.1; exit 6")
    assert result.exit_code == 6


def test_h088_big_output_goes_to_files_and_only_tails_are_read(place):
    result = place.run("head -c 50000000 /dev/zero; head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 1")
    assert result.exit_code == 1
    assert (place.job_dir / "payload.stdout").stat().st_size == 50_000_000
    assert len(result.log_extract) == 1024


def test_h097_the_work_dir_renamed_or_removed_does_not_lose_the_end(place):
    result = place.run("mv $PWD $PWD.away; exit 8")
    assert result.exit_code == 8
    place.processes()


@pytest.mark.parametrize(
    "content",
    ["", "{", "[" * 100_000, "x" * 2_000_000, '{"exitCode": "7", "exitMsg": ["no text"]}', "[1]"],
    ids=["empty", "cut", "deep", "long", "types", "no object"],
)
def test_h092_foreign_reports_do_no_harm(place, content):
    place.prepare()
    (place.job_dir / "jobReport.json").write_text(content)
    (place.job_dir / "payload_error_report.json").write_text(content)
    result = place.run("exit 65")
    assert result.exit_code == 65
    assert result.error_code != 0
    assert result.job_report == (content if content.startswith('{"') else "")


def test_h092_reports_that_are_links_are_not_read(place, tmp_path):
    place.prepare()
    (tmp_path / "proxy").write_text('{"secret": 1}')
    (place.job_dir / "jobReport.json").symlink_to(tmp_path / "proxy")
    assert place.run("exit 0").job_report == ""


def test_h092_reports_that_are_directories_are_not_read(place):
    place.prepare()
    for name in ("jobReport.json", "payload_error_report.json", "pilotlog.txt"):
        (place.job_dir / name).mkdir()
    assert place.run("exit 0").error_code == 0


def test_reports_and_log_are_read(place):
    report = json.dumps({"exitCode": 65, "exitMsg": "Non-zero return code"})
    command = f"echo '{report}' > jobReport.json; seq 100 > pilotlog.txt"
    command += """; echo '{"error_code": 1305, "error_diag": "told"}' > payload_error_report.json; exit 65"""
    result = place.run(command)
    assert json.loads(result.job_report) == json.loads(report)
    assert result.log_extract.splitlines() == [str(number) for number in range(81, 101)]
    assert (result.exe_error_code, result.exe_error_diag) == (1305, "told")


@pytest.mark.parametrize("name", ["", "A=B", "A\0B"])
def test_broken_environment_is_refused_before_anything_starts(place, name):
    place.prepare()
    place.assign("exit 0", environment=(Variable(name=name, value="x"),))
    assert place.desk.failures["run"][0] == ErrorCode.PAYLOADEXECUTIONEXCEPTION
    assert not place.facts().claimed


def test_an_order_of_a_megabyte_blocks_nobody(place):
    environment = tuple(Variable(name=f"V{number}", value="x" * 1000) for number in range(1000))
    result = place.run("env | grep -c ^V", environment=(Variable(name="PATH", value="/usr/bin:/bin"), *environment))
    assert result.error_code == 0
    assert place.stdout() == "1000\n"


def test_an_argument_too_long_for_the_kernel_fails_with_the_shells_word(place):
    result = place.run("/bin/true " + "x" * 3_000_000)
    assert (result.exit_code, result.error_code) == (126, ErrorCode.PAYLOADEXECUTIONFAILURE)
    assert "too long" in (place.job_dir / "payload.stderr").read_text()[-200:]


EXIT_OF_A_THREAD = {"x86_64": 60, "aarch64": 93}


@pytest.mark.skipif(platform.machine() not in EXIT_OF_A_THREAD, reason="number of the system call not known here")
def test_a_payload_whose_first_thread_ended_lives_and_can_be_killed(place):
    program = "import ctypes,threading,time; wait = lambda: (time.sleep(0.2), open('ready', 'w'), time.sleep(60))"
    program += (
        f"; threading.Thread(target=wait).start(); ctypes.CDLL(None).syscall({EXIT_OF_A_THREAD[platform.machine()]}, 0)"
    )
    place.start(f'exec {PYTHON} -c "{program}"', ready="ready")
    assert place.facts().payload_alive
    for _ in range(5):
        place.desk.turn(place.duty)
    assert "run" not in place.desk.results
    place.kill()
    assert place.wait("kill").left == ()
    assert place.wait().signal in (9, 15)
    assert place.processes() == []


def test_h095_a_control_directory_that_cannot_be_written_does_not_save_the_payload(place):
    place.start("touch ready; exec sleep 60", ready="ready")
    (place.control_dir / "end").mkdir()  # as a payload can do that does not want to be ended
    place.kill()
    assert place.wait("kill").left == ()
    assert place.wait().signal == 15
    assert place.processes() == []


def test_h095_an_exit_that_the_payload_wrote_itself_is_none(place):
    forged = """{"exit_code": 0, "signal": 0}"""
    command = f"echo '{forged}' > {place.control_dir}/exit.json; touch ready; exec sleep 60"
    place.start(command, ready="ready")
    place.kill_runner()  # whether the one before looked again after the forgery is a matter of chance
    place.assign(command, lease="again")
    result = place.wait("again")
    assert (result.error_code, result.exit_code) == (ErrorCode.PAYLOADLOST, 0)
    assert place.processes() == []


def test_h095_nothing_started_and_nothing_to_be_written_is_told(place):
    place.prepare()
    (place.control_dir / "end").mkdir()
    place.kill()
    place.until(lambda: "kill" in place.desk.failures, "the failure")


def test_a_launcher_that_fails_before_its_claim_is_told_with_its_last_words(place):
    place.prepare()
    (place.control_dir / "shim.pyc").write_text("no program")
    place.assign("exit 0")
    place.until(lambda: "run" in place.desk.failures, "the failure")
    code, diag, retry = place.desk.failures["run"]
    assert (code, retry) == (ErrorCode.PAYLOADEXECUTIONEXCEPTION, True)
    assert "Error" in diag
    place.prepare()
    place.assign("exit 7", lease="again")
    assert place.wait("again").exit_code == 7


def test_a_launcher_that_never_comes_to_its_claim_is_ended(place, monkeypatch):
    monkeypatch.setattr(running, "START_LIMIT_S", 0.3)
    place.prepare()
    py_compile.compile(
        write(place.root / "hang.py", "import time; time.sleep(60)"), str(place.control_dir / "shim.pyc")
    )
    place.assign("exit 0")
    place.until(lambda: "run" in place.desk.failures, "the failure")
    assert place.desk.failures["run"][2]


def write(path, text):
    path.write_text(text)
    return str(path)
