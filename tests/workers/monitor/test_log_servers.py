"""Log servers of each kind, with TLS and without, that are slow or refuse; and which file is followed."""

import os
import ssl
import sys
import threading
from dataclasses import replace

import pytest
import trustme
from log_rig import LABELS, Job
from log_server import ForwardServer, LogServer

from ipc.parts import LogStream
from ipc.tasks import Inspect
from tests.waiting import wait_until
from workers.monitor.followed import Followed
from workers.monitor.log_bodies import forward_body, pack
from workers.monitor.log_servers import push_to
from workers.monitor.streaming import BATCH_BYTES, FINISH_S, STUCK_S

#: A batch may be under way when its server ends with the test: Python leaves a socket open whose peer was reset before
#: the handshake began.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    made = trustme.CA()
    made.path = tmp_path_factory.mktemp("ca") / "ca.pem"
    made.cert_pem.write_to_path(str(made.path))
    return made


@pytest.fixture
def tls(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def job_at(tmp_path, url, kind="logstash", ca_path="", **stream):
    job = Job(tmp_path, url, **{"kind": kind, "period_s": 0.05, **stream})
    job.new_monitor(ca_path)
    return job


def troubles(caplog):
    return [record.getMessage() for record in caplog.records if "real-time logs" in record.getMessage()]


@pytest.mark.parametrize("as_directory", [False, True])
@pytest.mark.parametrize("kind", ["logstash", "loki", "fluent"])
def test_https_is_verified_with_the_pilots_own_authorities(tmp_path, authority, tls, kind, as_directory):
    ca_path = hashed(tmp_path, authority) if as_directory else authority.path
    with LogServer(tls) as server:
        job = job_at(tmp_path, server.url, kind, ca_path=str(ca_path), user="u", password="p")
        job.say("one\n")
        job.until(lambda: server.lines() == ["one"])
        assert server.pushes[0][1]["Authorization"] == "Basic dTpw"


def hashed(tmp_path, authority):
    """Return a directory of authorities, as sites have it."""
    from subprocess import run  # noqa: PLC0415 - the one use

    folder = tmp_path / "certificates"
    folder.mkdir()
    (folder / "ca.pem").write_bytes(authority.path.read_bytes())
    run(["openssl", "rehash", str(folder)], check=True)
    return folder


@pytest.mark.parametrize("case", ["nobody vouches", "another host", "no such file"])
def test_a_server_that_cannot_be_trusted_gets_nothing(tmp_path, authority, tls, caplog, case):
    if case == "another host":
        authority.issue_cert("logs.example.org").configure_cert(tls)
    ca_path = {"another host": str(authority.path), "no such file": str(tmp_path / "none")}.get(case, "")
    with LogServer(tls) as server:
        job = job_at(tmp_path, server.url, ca_path=ca_path, user="u", password="canary")
        job.say("one\n")
        job.until(lambda: troubles(caplog))
        assert server.pushes == []
        assert "canary" not in caplog.text


@pytest.mark.parametrize("secured", [False, True])
def test_fluent_by_its_forward_protocol(tmp_path, authority, tls, secured):
    with ForwardServer(tls if secured else None) as server:
        url = f"{'tls' if secured else 'tcp'}://127.0.0.1:{server.port}"
        job = job_at(tmp_path, url, "fluent", ca_path=str(authority.path), name="my-job")
        job.say("one\ntwö\n")
        job.until(lambda: server.lines() == ["one", "twö"])
        tag, entries, option = server.messages[0]
        assert (tag, option) == ("my-job", {"size": 2})
        stamp, record = entries[0]
        assert abs(stamp - job.moment.wall) < 60
        assert (record["TaskID"], record["PandaJobID"], record["message"]) == ("8", "7", "one")
        job.say("three\n")
        job.until(lambda: server.lines()[2:] == ["three"])


def test_a_tls_forward_server_that_nobody_vouches_for_gets_nothing(tmp_path, tls, caplog):
    with ForwardServer(tls) as server:
        job = job_at(tmp_path, f"tls://127.0.0.1:{server.port}", "fluent")
        job.say("one\n")
        job.until(lambda: troubles(caplog))
        assert server.messages == []


def test_fluent_by_http_has_its_tag_in_the_path(tmp_path):
    with LogServer() as server:
        job = job_at(tmp_path, server.url, "fluent", name="my-job")
        job.say("one\n")
        job.until(server.lines)
        assert server.pushes[0][0] == "/my-job"
    with LogServer() as server:
        stream = LogStream(kind="fluent", url=f"{server.url}/tag?a=b", file="f", period_s=1.0)
        assert push_to(stream)(stream, ["a"], 1.0, "", lambda _: None) == ""
        assert server.pushes[0][0] == "/tag?a=b"


def test_what_is_packed():
    assert pack("a") == b"\xdb\0\0\0\x01a"
    assert pack(["a", 1]) == b"\xdd\0\0\0\x02" + pack("a") + pack(1)
    with pytest.raises(ValueError, match="-1"):
        pack(-1)
    stream = LogStream(kind="fluent", url="", file="f", period_s=1.0, labels=LABELS)
    assert forward_body(stream, ["\ud800"], 1.5).count(b"?") == 1


# ---------------------------------------------------------------- Google's
def test_googles_library_that_is_not_there_is_said_and_harms_nothing(tmp_path, caplog):
    job = job_at(tmp_path, "", "google-cloud-logging")
    job.say("one\n")
    job.until(lambda: troubles(caplog))
    assert "google-cloud-logging is not installed" in troubles(caplog)[0]
    job.say("two\n")
    for _ in range(3):
        job.pass_time()
    assert len(troubles(caplog)) == 1, "it is said once"
    job.streams.finish("lease", job.moment)
    job.until(lambda: not list(job.streams.next_times()))


LIBRARY = """
written = []
class Client:
    def logger(self, name):
        return Logger(name)
class Logger:
    def __init__(self, name):
        self.name = name
    def batch(self):
        return Batch(self.name)
class Batch:
    def __init__(self, name):
        self.name, self.records = name, []
    def log_struct(self, record):
        self.records.append(record)
    def commit(self):
        if "broken" in self.records[0]["message"]:
            raise RuntimeError("canary of credentials")
        written.extend((self.name, record) for record in self.records)
"""


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A stand-in of the library's few names, which this machine does not have."""
    folder = tmp_path / "site" / "google" / "cloud" / "logging"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield
    for name in [name for name in sys.modules if name == "google" or name.startswith("google.")]:
        del sys.modules[name]


@pytest.mark.usefixtures("library")
def test_googles_library_gets_records(tmp_path, caplog):
    job = job_at(tmp_path, "", "google-cloud-logging", name="my-job")
    job.say("one\n")
    written = lambda: getattr(sys.modules.get("google.cloud.logging"), "written", [])  # noqa: E731
    job.until(written)
    ((name, record),) = written()
    assert (name, record["message"], record["PandaJobID"]) == ("my-job", "one", "7")
    job.say("broken\n")
    job.until(lambda: troubles(caplog))
    assert "RuntimeError" in troubles(caplog)[0]
    assert "canary" not in caplog.text


# ---------------------------------------------------------------- servers in trouble
@pytest.mark.parametrize("status", [301, 400, 403, 500])
def test_a_server_that_refuses_is_asked_again_with_the_same_batch(tmp_path, caplog, status):
    with LogServer() as server:
        server.status = status
        job = job_at(tmp_path, server.url)
        job.say("one\n")
        job.until(lambda: server.refused >= 3)
        assert len(troubles(caplog)) == 1
        assert f"HTTP {status}" in troubles(caplog)[0]
        server.status = 200
        job.until(lambda: server.lines() == ["one"])


def test_a_server_that_drips_its_answer_is_given_up_and_holds_up_no_end(tmp_path, caplog):
    with LogServer() as server:
        server.drip = threading.Event()
        job = job_at(tmp_path, server.url)
        job.say("one\n")
        job.pass_time(1.0)
        wait_until(lambda: server.refused, 10, "no request")
        job.pass_time(STUCK_S - 1)
        assert not troubles(caplog)
        job.pass_time(2.0)
        job.until(lambda: troubles(caplog))
        job.streams.finish("lease", job.moment)
        job.pass_time(FINISH_S + 1)
        assert not list(job.streams.next_times())


def test_memory_is_bounded_however_much_is_written_to_a_server_that_takes_nothing(tmp_path, monkeypatch):
    """One batch is under way and none waits; the file is the buffer."""
    taken = []
    monkeypatch.setattr("workers.monitor.streaming.redact", lambda line: taken.append(len(line)) or line)
    with LogServer() as server:
        server.drip = threading.Event()
        job = job_at(tmp_path, server.url)
        job.say("x" * 99 + "\n")
        job.pass_time(1.0)
        wait_until(lambda: server.refused, 10, "no request")
        for _ in range(20):
            job.say(("y" * 99 + "\n") * 10_000)
            job.pass_time(1.0)
        assert sum(taken) <= BATCH_BYTES


# ---------------------------------------------------------------- which file
def test_user_jobs_newest_file_wins_wherever_it_is(tmp_path):
    with LogServer() as server:
        job = job_at(tmp_path, server.url, file="tmp.stdout*", fallback="payload.stdout", patience_s=300.0)
        job.say("of the wrapper\n")
        job.pass_time(100.0)
        (job.dir / "workDir").mkdir()
        for name, age_s in (("tmp.stdout.old", 100), ("workDir/tmp.stdout.new", 0)):
            (job.dir / name).write_text(f"{name}\n")
            os.utime(job.dir / name, (1e9 - age_s, 1e9 - age_s))
        job.until(lambda: server.lines() == ["workDir/tmp.stdout.new"])
        (job.dir / "tmp.stdout.newer").write_text("newer\n")
        with (job.dir / "workDir/tmp.stdout.new").open("a") as stream:
            stream.write("goes on\n")
        job.until(lambda: server.lines()[1:] == ["goes on"])


def test_the_default_file_is_followed_when_the_users_has_not_come(tmp_path):
    with LogServer() as server:
        job = job_at(tmp_path, server.url, file="tmp.stdout*", fallback="payload.stdout", patience_s=300.0)
        job.pass_time(1000.0)
        job.say("one\n")
        job.pass_time(1.0)
        job.pass_time(298.0)
        assert not job.streams._streams["lease"][0]._pusher.busy
        assert server.lines() == []
        job.pass_time(2.0)
        job.until(lambda: server.lines() == ["one"])


def test_a_short_user_job_sends_its_default_file_at_the_end(tmp_path):
    with LogServer() as server:
        job = job_at(tmp_path, server.url, file="tmp.stdout*", fallback="payload.stdout", patience_s=300.0)
        job.say("one\n")
        job.pass_time(1.0)
        job.streams.finish("lease", job.moment)
        wait_until(lambda: job.pass_time(0.3) or server.lines() == ["one"], 10, "not sent")


def test_a_named_file_that_never_comes_gives_way_too(tmp_path):
    with LogServer() as server:
        job = job_at(tmp_path, server.url, file="typo.txt", fallback="payload.stdout")
        job.say("one\n")
        job.pass_time(1.0)
        job.pass_time(298.0)
        assert server.lines() == []
        job.pass_time(2.0)
        job.until(lambda: server.lines() == ["one"])


def test_several_files_each_from_where_it_was(tmp_path):
    with LogServer() as server:
        job = job_at(tmp_path, server.url, more_files=("other.txt", "never.txt"))
        job.say("one\n")
        (job.dir / "other.txt").write_text("a\n")
        job.until(lambda: sorted(server.lines()) == ["a", "one"])
        job.until(lambda: len(list(job.control.glob("realtime*.json"))) == 2)
        job.new_monitor()
        (job.dir / "other.txt").write_text("a\nb\n")
        job.until(lambda: sorted(server.lines()) == ["a", "b", "one"])


def test_a_dormant_stream_begins_with_the_first_look(tmp_path):
    with LogServer() as server:
        job = job_at(tmp_path, server.url, dormant=True)
        job.say("one\n")
        (job.dir / "other").write_text("a\n")
        job.pass_time()
        assert not list(job.streams.next_times())
        tail = Inspect(job_dir=str(job.dir), control_dir="/c", words=("tail", "10", "other"))
        for useless in (replace(tail, job_dir="/elsewhere"), replace(tail, words=("ps", "-ef"))):
            job.streams.wake(useless, job.moment)
        assert not list(job.streams.next_times())
        job.streams.wake(tail, job.moment)
        job.until(lambda: server.lines() == ["a"])
        job.new_monitor()
        job.streams.finish("lease", job.moment)
        job.streams.wake(replace(tail, words=("newest",)), job.moment)
        assert not list(job.streams.next_times()), "its Watch is over"


def test_new_secrets_do_not_put_a_stream_to_sleep_again(tmp_path):
    with LogServer() as server:
        job = job_at(tmp_path, server.url, dormant=True, user="old")
        look = Inspect(job_dir=str(job.dir), control_dir="/c", words=("newest",))
        job.streams.wake(look, job.moment)
        job.say("one\n")
        job.until(lambda: server.lines() == ["one"])
        other = replace(job.task, stream=replace(job.task.stream, user="new"))
        job.streams.begin("another", other, job.moment)
        job.streams.finish("lease", job.moment)
        job.say("two\n")
        job.until(lambda: server.lines()[1:] == ["two"])
        users = [headers["Authorization"] for _, headers, _ in server.pushes]
        assert users[0] != users[-1]


def test_what_was_noted_of_another_file_does_not_count(tmp_path):
    with LogServer() as server:
        job = job_at(tmp_path, server.url, file="tmp.stdout*")
        (job.dir / "tmp.stdout.1").write_text("one\n")
        os.utime(job.dir / "tmp.stdout.1", (1, 1))
        job.until((job.control / "realtime.json").exists)
        (job.dir / "tmp.stdout.2").write_text("a longer line\n")
        job.new_monitor()
        job.until(lambda: server.lines() == ["one", "a longer line"])


def test_links_and_odd_files_are_not_followed(tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "tmp.stdout.1").write_text("secret\n")
    job_dir = tmp_path / "job"
    job_dir.mkdir()
    (job_dir / "workDir").symlink_to(secret)
    (job_dir / "tmp.stdout.link").symlink_to(secret / "tmp.stdout.1")
    (job_dir / "tmp.stdout.dir").mkdir()
    os.mkfifo(job_dir / "tmp.stdout.fifo")
    assert Followed(job_dir, "tmp.stdout*").open(0.0) == -1
    assert Followed(job_dir, "a/tmp*").open(0.0) == -1
    assert Followed(tmp_path / "none", "tmp*").open(0.0) == -1


@pytest.mark.parametrize("url", ["tcp://127.0.0.1:1", "tls://127.0.0.1:1", "http://127.0.0.1:1", "https://[::1]:1"])
def test_a_server_that_is_away_is_an_answer(url):
    stream = LogStream(kind="fluent", url=url, file="f", period_s=1.0)
    assert "Error" in push_to(stream)(stream, ["a"], 1.0, "", lambda _: None)
