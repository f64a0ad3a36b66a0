"""The runner's end of the channel: real sockets, a real ledger, payloads that say odd things (event-service 4.3, 6)."""

import json
import os

import pytest
import zmq

from host.clock import now
from ipc.observations import ChannelOpen, Wanted
from ipc.parts import EventStore, TransferredFile
from ipc.results import EventsFed, RangesAcquired, RangesReported, Staged
from ipc.schema import Heed
from ipc.tasks import FeedEvents
from workers.runner.channel import Channel
from workers.runner.ranges import ranges_of, remove

READY = b"Ready for events"


@pytest.fixture
def feeding(place):
    place.prepare()
    return Feeding(place)


class Feeding:
    """A feeder in a runner, and the supervisor's part played by hand."""

    def __init__(self, place):
        self.place, self.lease = place, "feed/1/1"
        self.answered = set()
        self.peers = []
        store = EventStore(copytool="cp", endpoint="DISK", storage_id=9, base="/s/", deterministic=False)
        self.task = FeedEvents(
            job_id=7,
            jobset_id=1,
            task_id=2,
            job_dir=str(place.job_dir),
            control_dir=str(place.control_dir),
            channel=f"ipc://{place.job_dir}/es.sock",
            core_count=1,
            stores=(store,),
            gap_s=100.0,
        )

    def begin(self, lease="feed/1/1"):
        self.lease = lease
        self.answered.clear()
        self.place.duty.assign(lease, self.task, now())

    def wishes(self):
        found = [what for who, what in self.place.desk.observations if who == self.lease and isinstance(what, Wanted)]
        return [wish for wish in found if wish.name not in self.answered]

    def wish(self, prefix):
        def those():
            return [wish for wish in self.wishes() if wish.name.startswith(prefix)]

        self.place.until(those, f"a wish for {prefix}")
        return those()[0]

    def grant(self, prefix, result):
        wish = self.wish(prefix)
        self.answered.add(wish.name)
        self.place.duty.heed(Heed(lease=self.lease, name=wish.name, result=result), now())
        return wish

    def ranges(self, *numbers):
        ranges = [{"eventRangeID": f"1-2-3-{number}-1", "LFN": "f", "startEvent": 1} for number in numbers]
        return self.grant("ranges-", RangesAcquired(ranges=json.dumps(ranges)))

    def peer(self, kind=zmq.DEALER, name=b"worker"):
        socket = zmq.Context.instance().socket(kind)
        socket.linger = 0
        socket.setsockopt(zmq.IDENTITY, name)
        socket.connect(self.task.channel)
        self.peers.append(socket)
        return socket

    def hear(self, socket):
        self.place.until(lambda: socket.poll(0), "a word to the payload")
        return socket.recv().decode()

    def ledger(self):
        lines = (self.place.control_dir / "es_ledger.jsonl").read_text().splitlines()
        return [(entry["ev"], entry["id"]) for entry in map(json.loads, filter(None, lines))]

    def close(self):
        for socket in self.peers:
            socket.close(0)


@pytest.fixture(autouse=True)
def _close(feeding):
    yield
    feeding.close()


def test_the_channel_opens_with_the_first_ranges_and_its_file_goes_with_it(feeding):
    feeding.begin()
    socket_file = feeding.place.job_dir / "es.sock"
    assert not socket_file.exists()
    feeding.ranges(1, 2)
    assert socket_file.exists()
    assert ("feed/1/1", ChannelOpen()) in feeding.place.desk.observations
    feeding.place.duty.cancel("feed/1/1", now())
    assert not socket_file.exists()


def test_a_whole_payload_s_talk(feeding):
    feeding.begin()
    feeding.ranges(1)
    peer = feeding.peer()
    peer.send(READY)
    (handed,) = json.loads(feeding.hear(peer))
    assert handed["eventRangeID"] == "1-2-3-1-1"
    feeding.ranges()
    out = feeding.place.job_dir / "out.1"
    out.write_text("x")
    peer.send(f"{out},ID:1-2-3-1-1,CPU:1,WALL:1".encode())
    peer.send(READY)
    assert feeding.hear(peer) == "No more events"
    tar = feeding.wish("tar-")
    assert tar.task.members == (str(out),)
    assert tar.task.transfer.copies[0].destination == "/s/EventService_premerge_1-2-3-1-1.tar"
    (feeding.place.job_dir / tar.task.transfer.lfn).write_text("tar")
    file = TransferredFile(
        lfn="x", kind="output", status="transferred", size_bytes=3, checksum="adler32:00000001", endpoint="DISK"
    )
    feeding.grant("tar-", Staged(files=(file,)))
    report = feeding.grant("report-", RangesReported(results=("stored",)))
    assert json.loads(report.task.entries)[0]["zipFile"]["objstoreID"] == 9
    assert not out.exists()
    assert not (feeding.place.job_dir / tar.task.transfer.lfn).exists()
    feeding.place.kill()  # no payload was started here: it is over with this
    result = feeding.place.wait(feeding.lease)
    assert result == EventsFed(n_events=1, sub_status="all_success")


def test_a_wish_that_was_lost_is_told_again(feeding, monkeypatch):
    monkeypatch.setattr("workers.runner.feeding._REMIND_S", 0.1)
    feeding.begin()
    feeding.place.until(lambda: len([wish for wish in feeding.wishes() if wish.name == "ranges-1"]) >= 3, "reminders")
    assert len({wish.task for wish in feeding.wishes()}) == 1
    monkeypatch.setattr("workers.runner.feeding._REMIND_S", 60)
    feeding.ranges(1)
    assert feeding.place.duty.next_deadline() is not None


@pytest.mark.parametrize("odd", [b"\xff\xfe", b"x" * (1024 * 1024 + 1), b"", b"\0", b"/etc/passwd,ID:1-2-3-1-1"])
def test_es_23_odd_messages_harm_nobody(feeding, odd):
    feeding.begin()
    feeding.ranges(1, 2)
    peer = feeding.peer()
    peer.send(READY)
    feeding.hear(peer)
    peer.send(odd)
    peer.send_multipart([b"a", b"b", b"c"])
    peer.send(READY)
    assert "1-2-3-2-1" in feeding.hear(peer)


def test_a_file_outside_the_job_s_directory_is_no_output(feeding, tmp_path):
    secret = tmp_path / "proxy"
    secret.write_text("secret")
    (feeding.place.job_dir / "link").symlink_to(secret)
    feeding.begin()
    feeding.ranges(1, 2)
    peer = feeding.peer()
    for number, name in ((1, secret), (2, feeding.place.job_dir / "link")):
        peer.send(READY)
        feeding.hear(peer)
        peer.send(f"{name},ID:1-2-3-{number}-1,CPU:1".encode())
    report = feeding.wish("report-")
    assert json.loads(report.task.entries)[0]["errorCode"] == 1165
    assert "not a file of this job" in json.loads(report.task.entries)[0]["errorDiag"]
    remove([str(secret), "link"], str(feeding.place.job_dir))
    assert secret.exists()


def test_es_4_a_req_peer_gets_one_answer_to_each_message(feeding):
    feeding.begin()
    feeding.ranges(1, 2)
    peer = feeding.peer(zmq.REQ)
    for words, answer in ((READY, "1-2-3-1-1"), (b"/nowhere,ID:1-2-3-1-1", "ACK"), (b"hello", "ACK"), (b"\xff", "ACK")):
        peer.send(words)
        assert answer in feeding.hear(peer)


def test_es_13_a_new_runner_opens_the_same_channel_and_knows_everything(feeding):
    feeding.begin()
    feeding.ranges(1, 2, 3)
    peer = feeding.peer()
    peer.send(READY)
    feeding.hear(peer)
    feeding.place.kill_runner()
    out = feeding.place.job_dir / "out.1"
    out.write_text("x")
    peer.send(f"{out},ID:1-2-3-1-1,CPU:1".encode())  # while nobody listens
    feeding.begin("feed/2/2")
    peer.send(READY)
    assert "1-2-3-2-1" in feeding.hear(peer)
    feeding.place.until(lambda: ("output", "1-2-3-1-1") in feeding.ledger(), "the output")
    assert [event for event in feeding.ledger() if event[0] == "fetched"] == [
        ("fetched", f"1-2-3-{number}-1") for number in (1, 2, 3)
    ]


def test_the_place_of_a_socket_elsewhere_must_be_this_user_s_own(tmp_path):
    channel = Channel(f"ipc://{tmp_path}/new/es.sock", "/job")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    channel.close()
    assert not (tmp_path / "new").exists()
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(PermissionError):
        Channel(f"ipc://{tmp_path}/link/es.sock", "/job")
    (tmp_path / "open").mkdir()
    os.chmod(tmp_path / "open", 0o777)  # noqa: PTH101 - as somebody else could have left it
    with pytest.raises(PermissionError):
        Channel(f"ipc://{tmp_path}/open/es.sock", "/job")


def test_a_channel_that_cannot_be_opened_is_1240(feeding):
    (feeding.place.job_dir / "es.sock").mkdir()
    feeding.begin()
    feeding.ranges(1)
    feeding.place.until(lambda: feeding.lease in feeding.place.desk.failures, "a failure")
    code, _, retry = feeding.place.desk.failures[feeding.lease]
    assert (code, retry) == (1240, True)


def test_ranges_say_where_their_file_is(tmp_path):
    (tmp_path / "here").write_text("x")
    text = json.dumps([{"LFN": "here"}, {"LFN": "away"}, {"LFN": None}, {"LFN": "../../etc/passwd"}])
    found = [each["PFN"] for each in ranges_of(text, str(tmp_path), local_names=True)]
    assert found == [str(tmp_path / "here"), "away", "", "../../etc/passwd"]
    assert "PFN" not in ranges_of(text, str(tmp_path), local_names=False)[0]
