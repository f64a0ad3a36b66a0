"""The monitor with a real small payload tree."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from errors.codes import ErrorCode
from host.clock import Now, now
from ipc.observations import LimitExceeded, Usage
from ipc.tasks import Watch
from jobs.steps import Step
from settings.settings import Settings, Tuning
from tests.workers.runner.rig import FakeDesk, Place
from workers.monitor.duty import MonitorDuty
from workers.monitor.looker import gdb_line
from workers.monitor.sampling import Directory, Tree, boot_s, free_disk_bytes, outputs, read_identity

SETTINGS = Settings(queue="Q", tuning=Tuning(sample_s=0.1))
BURN = "import time\nwhile time.process_time() < 0.3: pass"


class Post:
    """A monitor at a fake desk."""

    def __init__(self, place, settings=SETTINGS):
        self.place = place
        self.settings = settings
        self.new_monitor()

    def new_monitor(self):
        self.desk = FakeDesk()
        self.duty = MonitorDuty(self.desk, self.settings)

    def watch(self, lease="watch", **limits):
        task = Watch(job_id=7, job_dir=str(self.place.job_dir), control_dir=str(self.place.control_dir), **limits)
        self.duty.assign(lease, task, now())

    def of(self, kind):
        return [what for _, what in self.desk.observations if isinstance(what, kind)]

    def until(self, predicate, what, timeout_s=10.0):
        self.desk.run(self.duty, predicate, timeout_s, what)

    def until_limit(self, timeout_s=10.0) -> LimitExceeded:
        self.until(lambda: self.of(LimitExceeded), "a limit", timeout_s)
        return self.of(LimitExceeded)[0]

    def usage(self) -> Usage:
        return self.of(Usage)[-1]


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    place.prepare()
    yield place
    place.close()


@pytest.fixture
def post(place):
    return Post(place)


def test_cpu_counts_children_that_have_ended(post):
    burn = f'python3 -c "{BURN}"'
    post.place.start(f"{burn}; (setsid {burn} &) ; {burn}; touch ready; exec sleep 60", ready="ready")
    post.watch()
    post.until(lambda: post.of(Usage) and post.usage().cpu_time_s >= 0.9 // 1, "CPU time")
    watching = post.duty._watches["watch"]
    post.until(lambda: watching._state.cpu_s > 0.85, "all of the CPU time")
    assert watching._state.cpu_s < 3


def test_memory_and_processes_are_measured(post):
    post.place.start("sleep 60 & sleep 60 & touch ready; wait", ready="ready")
    post.watch()
    post.until(lambda: post.of(Usage) and post.usage().max_pss_kb > 0, "PSS")
    usage = post.usage()
    assert usage.processes == 3
    assert 0 < usage.max_pss_kb <= usage.max_rss_kb < usage.max_vmem_kb
    assert usage.avg_rss_kb > 0
    assert usage.max_swap_kb >= 0
    assert usage.free_disk_bytes > 0
    assert usage.work_dir_bytes >= 0


def test_the_payload_is_found_when_it_starts_later_and_forgotten_when_it_ends(post):
    post.watch()
    post.until(lambda: post.of(Usage), "a first word")
    assert post.usage().processes == 0
    post.place.start("touch ready; until [ -e go ]; do sleep 0.01; done", ready="ready")
    post.until(lambda: post.usage().processes >= 1, "the payload")
    (post.place.job_dir / "go").touch()
    post.place.wait()
    post.until(lambda: post.usage().processes == 0, "its end")


def test_peaks_survive_a_monitor(post):
    post.place.start("touch ready; exec sleep 60", ready="ready")
    post.watch()
    post.until(lambda: post.of(Usage) and post.usage().max_rss_kb > 0, "RSS")
    peak = post.usage().max_rss_kb
    os.killpg(post.place.started()[0].pid, signal.SIGKILL)
    post.place.wait()
    post.new_monitor()
    post.watch()
    post.until(lambda: post.of(Usage), "a first word")
    assert post.usage().max_rss_kb == peak


def test_broken_kept_totals_are_no_totals(post):
    (post.place.control_dir / "usage.json").write_text('{"cpu_s": "x"')
    post.watch()
    post.until(lambda: post.of(Usage), "a first word")
    assert post.usage().max_rss_kb == -1


def test_silence_is_told_once(post):
    post.place.start("touch ready; exec sleep 60", ready="ready")
    post.watch(silence_limit_s=0.5)
    assert post.until_limit().code == ErrorCode.LOOPINGJOB
    post.watch("other")
    post.until(lambda: [lease for lease, _ in post.desk.observations].count("other") >= 1, "more samples")
    assert len(post.of(LimitExceeded)) == 1


@pytest.mark.parametrize(
    "command",
    ["while :; do :; done", "while :; do sleep 0.05; echo x; done", "while :; do sleep 0.05; touch file; done"],
    ids=["cpu", "output", "files"],
)
def test_what_moves_is_not_silent(post, command):
    post.place.start(f"touch ready; {command}", ready="ready")
    post.watch(silence_limit_s=0.6)
    started = time.monotonic()
    post.until(lambda: time.monotonic() > started + 1.5, "the time")
    assert post.of(LimitExceeded) == []


def test_wall_time_counts_from_the_payloads_start(post):
    started = time.monotonic()
    post.place.start("touch ready; exec sleep 60", ready="ready")
    post.watch(wall_limit_s=0.8)
    assert post.until_limit().code == ErrorCode.REACHEDMAXTIME
    assert time.monotonic() - started >= 0.75


def test_the_slots_end_counts_before_the_payload_starts(post):
    post.settings = Settings(queue="Q", tuning=Tuning(sample_s=30.0))
    post.new_monitor()
    began = now()
    post.watch(until_wall=began.wall + 0.5)
    assert post.until_limit().code == ErrorCode.REACHEDMAXTIME
    assert 0.45 < now().mono - began.mono < 2


def test_h098_a_set_clock_does_not_move_the_slots_end(post):
    post.watch(until_wall=now().wall + 1000)
    for _ in range(3):
        post.duty.tick(Now(now().mono + 5, now().wall + 5000))
    assert post.of(LimitExceeded) == []


def test_disk_limits(post):
    post.watch(free_disk_bytes=2**60)
    limit = post.until_limit()
    assert limit.code == ErrorCode.NOLOCALSPACE
    assert str(2**60) in limit.diag


def test_work_directory_limit(post):
    post.watch(work_dir_bytes=100_000)
    post.until(lambda: post.of(Usage), "a first word")
    assert post.of(LimitExceeded) == []
    (post.place.job_dir / "sub").mkdir()
    (post.place.job_dir / "sub" / "big").write_bytes(b"x" * 200_000)
    assert post.until_limit().code == ErrorCode.USERDIRTOOLARGE


def test_a_job_directory_that_is_gone_ends_nothing(post):
    post.place.job_dir.rmdir()
    post.watch(free_disk_bytes=1, work_dir_bytes=1)
    post.until(lambda: post.of(Usage), "a first word")
    assert post.of(LimitExceeded) == []


def test_cancel_and_stop(post):
    post.watch("a")
    post.watch("b")
    post.duty.cancel("a", now())
    post.duty.cancel("unknown", now())
    post.until(lambda: post.of(Usage), "a first word")
    assert {lease for lease, _ in post.desk.observations} == {"b"}
    post.duty.stop()
    assert post.duty.next_deadline() is None


def walk(directory):
    while not directory.step(3, 1.0):
        pass
    return directory.latest


def test_a_directory_is_summed_without_links_holes_and_names_twice(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(b"x" * 50_000)
    (tmp_path / "a" / "b" / "two").hardlink_to(tmp_path / "a" / "one")
    (tmp_path / "link").symlink_to("/usr")
    with (tmp_path / "sparse").open("wb") as stream:
        stream.truncate(10**12)
    os.mkfifo(tmp_path / "fifo")
    assert 50_000 <= walk(Directory(tmp_path)).size_bytes < 70_000


def test_changes_of_the_pilots_own_files_are_no_sign(tmp_path):
    directory = Directory(tmp_path)
    before = walk(directory).touched
    (tmp_path / "pilotlog.txt").write_text("x")
    assert walk(directory).touched == before
    (tmp_path / "file").write_text("x")
    assert walk(directory).touched != before


def test_a_directory_that_vanishes_in_the_walk(tmp_path):
    top = tmp_path / "top"
    for number in range(20):
        (top / str(number)).mkdir(parents=True)
        (top / str(number) / "file").write_text("x")
    directory = Directory(top)
    directory.step(5, 1.0)
    for number in range(20):
        (top / str(number) / "file").unlink()
        (top / str(number)).rmdir()
    assert walk(directory).size_bytes <= 20


def test_what_cannot_be_read_is_left_out(tmp_path):
    assert read_identity(tmp_path / "payload.json") is None
    for text in ("", "[]", "{", '{"pid": 1}', "null"):
        (tmp_path / "payload.json").write_text(text)
        assert read_identity(tmp_path / "payload.json") is None
    assert free_disk_bytes(Path("/no/such/place")) == -1
    assert outputs(tmp_path, ("nothing",)) == ((-1, 0.0),)


def test_pss_falls_back_to_rss(place, monkeypatch):
    place.start("touch ready; exec sleep 60", ready="ready")
    tree = Tree(place.facts().payload, place.facts().shim)
    real = Path.read_text

    def closed(path, *args, **kwargs):
        if path.name == "smaps_rollup":
            raise PermissionError(path)
        return real(path, *args, **kwargs)

    monkeypatch.setattr(Path, "read_text", closed)
    sample = tree.sample(with_pss=True)
    assert sample.pss_kb == sample.rss_kb > 0
    assert tree.sample(with_pss=False).pss_kb == -1


def test_processes_that_vanish_while_they_are_read(place):
    place.start("touch ready; while :; do /bin/true; done", ready="ready")
    tree = Tree(place.facts().payload, place.facts().shim)
    for _ in range(200):
        assert tree.sample(with_pss=True).processes >= 1


# ---------------------------------------------------------------- jobs of several processes
def assign_steps(place, **steps):
    place.duty.assign("run", replace(place.task(steps.pop("command")), **steps), now())


def test_use_and_time_of_all_steps_add_up(post):
    place, burn = post.place, f'python3 -c "{BURN}"'
    assign_steps(place, command=f"{burn}; touch at; exec sleep 60", preprocess=f"{burn}; touch pre; sleep 0.7")
    post.watch()
    watching = post.duty._watches["watch"]
    place.until((place.job_dir / "pre").exists, "the pre-process")
    post.until(lambda: watching._state.cpu_s > 0.25, "CPU time of the pre-process")
    place.until((place.job_dir / "at").exists, "the payload")
    post.until(lambda: watching._state.cpu_s > 0.55, "CPU time of both")
    first = read_identity(place.control_dir / Step(1, "preprocess").directory / "payload.json")
    assert watching._state.wall_s == pytest.approx(boot_s() - first.start_ticks / os.sysconf("SC_CLK_TCK"), abs=1.0)
    assert watching._state.cpu_s < 2


def test_the_wall_limit_counts_from_the_first_step(post):
    place = post.place
    assign_steps(place, command="touch at; exec sleep 60", preprocess="sleep 1")
    post.watch(wall_limit_s=2.0)
    place.until((place.job_dir / "at").exists, "the payload")
    began = time.monotonic()
    assert post.until_limit().code == ErrorCode.REACHEDMAXTIME
    assert time.monotonic() - began < 1.9


def test_gdb_is_shown_the_newest_process(place):
    assign_steps(place, command="touch at; exec sleep 60", preprocess="true")
    place.until((place.job_dir / "at").exists, "the payload")
    payload = read_identity(place.control_dir / Step(1, "payload").directory / "payload.json")
    assert str(payload.pid) in gdb_line(place.control_dir)
