"""Transfers for Harvester's plug-ins: both forms of the call, what is told of each file, what must stay as it is."""

import http.server
import json
import os
import signal
import threading
import zlib
from pathlib import Path

import pytest

from host.processes import process_table, tree_of
from pilot.api.carrier import Carrier
from pilot.api.data import StageInClient, StageOutClient, TransferError
from pilot.info import documents, infosys
from pilot.info.filespec import FileSpec
from queues.paths import deterministic_path
from tests.waiting import wait_until

DATA = os.urandom(300_000)
SUM = f"{zlib.adler32(DATA):08x}"


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if "hang" in self.path:
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"x")
            self.server.over.wait(30)
        else:
            super().do_GET()

    def log_message(self, *_words):
        pass


@pytest.fixture
def web(tmp_path):
    """A web server over a storage with files below their deterministic paths."""
    storage = tmp_path / "storage"
    for lfn in ("a.root", "b.root", "hang.root"):
        path = storage / deterministic_path("mc.x", lfn)
        path.parent.mkdir(parents=True)
        path.write_bytes(DATA)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *words: Handler(*words, directory=str(storage)))
    server.over = threading.Event()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def site(tmp_path, monkeypatch, request):
    """The directory of a program, with the descriptions of queue SITE; other queues are asked of the test's server."""
    access = {"endpoint": request.getfixturevalue("web"), "path": "/", "flavour": "WEBDAV"}
    mounted = {"endpoint": f"file://{tmp_path}/mounted", "path": "/"}
    disks = {
        "WEB": {"name": "WEB", "is_deterministic": True, "arprotocols": {"read_lan": [access]}},
        "DISK": {"name": "DISK", "is_deterministic": True, "arprotocols": {"write_lan": [mounted]}},
    }
    queue = {
        "nickname": "SITE",
        "state": "ACTIVE",
        "status": "online",
        "copytools": {"http": {}},
        "acopytools": {"read_lan": ["http"], "write_lan": ["cp"]},
        "astorages": {"read_lan": ["WEB"], "write_lan": ["DISK"]},
    }
    home = tmp_path / "program"
    home.mkdir()
    (home / "queuedata.json").write_text(json.dumps(queue))
    (home / "cric_ddmendpoints.json").write_text(json.dumps(disks))
    config = tmp_path / "pilot.cfg"
    nowhere = f"{access['endpoint']}/none"
    config.write_text(f"[Information]\nqueuedata_url: {nowhere}\nstorages_url: {nowhere}\n")
    monkeypatch.setenv("HARVESTER_PILOT_CONFIG", str(config))
    monkeypatch.chdir(home)
    documents._texts.cache_clear()
    return home


def _spec(tmp_path, lfn="a.root", **more) -> FileSpec:
    return FileSpec(type="input", lfn=lfn, scope="mc.x", workdir=str(tmp_path / "work"), **more)


def _source(tmp_path: Path, name: str = "elsewhere") -> str:
    (tmp_path / name).write_bytes(DATA)
    return str(tmp_path / name)


def test_files_of_a_queue_are_brought_by_its_own_tools(site, tmp_path):
    """Harvester always asks for rucio; where there is none, the tools of the queue serve."""
    infosys.init("SITE", infosys.confinfo, infosys.extinfo)
    infosys.queuedata.direct_access_lan = False
    client = StageInClient(infosys, acopytools={"default": ["rucio"]}, default_copytools="rucio")
    files = [_spec(tmp_path, dataset=None, ddmendpoint="WEB", guid=None), _spec(tmp_path, "b.root")]
    assert client.transfer(files, use_vp=False) is files
    for file in files:
        assert (tmp_path / "work" / file.lfn).read_bytes() == DATA
        assert (file.status, file.status_code, file.filesize) == ("transferred", 0, len(DATA))
        assert (file.checksum, file.ddmendpoint) == ({"adler32": SUM}, "WEB")


def test_dictionaries_are_filled_in_and_nothing_is_raised(site, tmp_path):
    files = [{"scope": "mc.x", "name": name, "destination": str(tmp_path / "work")} for name in ("a.root", "no.root")]
    assert StageInClient(site="SITE").transfer(files) is files
    assert [file["errno"] for file in files] == [0, 1331]
    assert (tmp_path / "work" / "a.root").read_bytes() == DATA
    assert "no.root" in files[1]["errmsg"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"checksum": {"adler32": "00000001"}}, 1171),
        ({"checksum": "ad:00000001"}, 1171),
        ({"filesize": 5}, 1175),
        ({"turl": "/not/there"}, 1331),
        ({"turl": "root://host//x"}, 1323),
        ({"filesize": "NaN"}, 1402),
        ({"checksum": "nonsense"}, 1314),
        ({"workdir": "", "lfn": "x"}, 1199),
    ],
)
def test_a_failure_is_told_in_the_file_and_raised_when_all_were_tried(tmp_path, fields, code):
    source = _source(tmp_path)
    bad, good = _spec(tmp_path, turl=source), _spec(tmp_path, "b.root", turl=source)
    for name, value in fields.items():
        setattr(bad, name, value)
    client = StageInClient(acopytools=["cp"])
    with pytest.raises(TransferError) as caught:
        client.transfer([bad, good])
    assert caught.value.get_error_code() == code
    assert (bad.status, bad.status_code) == ("failed", code)
    assert (good.status, good.status_code) == ("transferred", 0)
    assert client.transfer([bad], raise_exception=False) == [bad]
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["b.root"]


HOSTILE = [
    pytest.param({"lfn": "../../etc/passwd"}, id="H001"),
    pytest.param({"lfn": "/abs/path"}, id="H002"),
    pytest.param({"lfn": "-rf"}, id="H003"),
    pytest.param({"lfn": "a;touch pwn"}, id="H004"),
    pytest.param({"lfn": "a\nb"}, id="H006"),
    pytest.param({"lfn": "a" * 5000}, id="H007"),
    pytest.param({"scope": ".."}, id="H012"),
    pytest.param({"scope": "x:y"}, id="H013"),
    pytest.param({"filesize": "1e400"}, id="H024"),
    pytest.param({"turl": "file:///etc/passwd%00"}, id="H041"),
]


@pytest.mark.parametrize("fields", HOSTILE)
def test_hostile_files_are_refused_and_nothing_leaves_the_directory(tmp_path, fields):
    file = _spec(tmp_path, turl=_source(tmp_path))
    for name, value in fields.items():
        setattr(file, name, value)
    StageInClient(acopytools="cp").transfer([file], raise_exception=False)
    assert file.status == "failed"
    assert file.status_code > 0
    assert [path.name for path in tmp_path.iterdir() if path.name != "work"] == ["elsewhere"]


def test_h040_a_copy_tool_that_cannot_be_one(site, tmp_path):
    file = _spec(tmp_path)
    StageInClient(site="SITE", acopytools={"default": ["../../x"]}).transfer([file])
    assert file.status == "transferred"  # by the queue's own


def test_hpc_29_three_threads_of_another_program(site, tmp_path):
    before = (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), Path.cwd(), dict(os.environ))
    files = [_spec(tmp_path, lfn) for lfn in ("a.root", "b.root", "no.root")]

    def bring(file: FileSpec) -> None:
        infosys.init("SITE" if file.lfn != "no.root" else "OTHER")
        StageInClient(infosys).transfer([file], raise_exception=False)

    threads = [threading.Thread(target=bring, args=(file,)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [file.status for file in files] == ["transferred", "transferred", "failed"]
    assert files[2].status_code == 1116  # another thread's queue is another's
    assert before == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), Path.cwd(), dict(os.environ))


@pytest.mark.parametrize("limits", [{"stall_s": 1.5}, {"limit_s": 1.5}])
def test_hpc_30_a_tool_that_hangs_costs_no_more_than_its_limit(site, web, tmp_path, limits):
    before = _children()
    client = StageInClient(site="SITE", **limits)
    hanging, good = _spec(tmp_path, "hang.root"), _spec(tmp_path)
    client.transfer([hanging, good], raise_exception=False)
    assert (hanging.status, hanging.status_code) == ("failed", 1151)
    assert good.status == "transferred"
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["a.root"]
    assert _children() <= before


def test_a_mover_that_is_killed_is_replaced(site, web, tmp_path):
    file = _spec(tmp_path, turl=f"{web}/hang.root")
    file.replicas = [_source(tmp_path)]
    client = StageInClient(site="SITE")
    thread = threading.Thread(target=client.transfer, args=([file],))
    thread.start()
    own = os.getpid()
    partial = tmp_path / "work"

    def mover() -> list:
        return [row for row in tree_of([own], process_table()) if row.ppid == own] if partial.exists() else []

    wait_until(mover, 10, "no mover")
    os.kill(mover()[0].pid, signal.SIGKILL)
    thread.join()
    assert file.status == "transferred"
    assert [path.name for path in partial.iterdir()] == ["a.root"]


def test_outputs_go_to_the_queues_storage(site, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "o.root").write_bytes(DATA)
    file = FileSpec(filetype="output", lfn="o.root", scope="mc.x", workdir=str(tmp_path / "work"))
    infosys.init("SITE")
    StageOutClient(infosys).transfer([file], ["pw"])
    kept = tmp_path / "mounted" / deterministic_path("mc.x", "o.root")
    assert kept.read_bytes() == DATA
    assert (file.status, file.ddmendpoint, file.turl) == ("transferred", "DISK", f"file://{kept}")
    assert file.checksum == {"adler32": SUM}


@pytest.mark.parametrize("how", ["turl", "output_dir"])
def test_outputs_go_where_the_caller_says(tmp_path, how):
    source = _source(tmp_path)
    file = FileSpec(filetype="log", lfn="log.tgz", scope="mc.x", surl=source)
    if how == "turl":
        file.turl = str(tmp_path / "out" / "log.tgz")
    StageOutClient(acopytools={"pl": ["cp"]}).transfer([file], "pl", output_dir=str(tmp_path / "out"))
    assert (tmp_path / "out" / "log.tgz").read_bytes() == DATA
    assert file.status_code == 0


def test_a_missing_output_and_a_missing_queue(tmp_path):
    lost = FileSpec(filetype="output", lfn="o.root", scope="s", workdir=str(tmp_path), turl=str(tmp_path / "x"))
    nowhere = FileSpec(filetype="output", lfn="o.root", scope="s", workdir=str(tmp_path))
    StageOutClient().transfer([lost, nowhere], raise_exception=False)
    assert (lost.status_code, nowhere.status_code) == (1165, 1116)


def test_a_carrier_that_was_given_up_leaves_no_process(tmp_path):
    before = _children()
    with Carrier():
        pass
    assert _children() <= before


def _children():
    """The processes begun here; other tests of this process may have left some."""
    return {pid for pid, row in process_table().items() if row.ppid == os.getpid()}
