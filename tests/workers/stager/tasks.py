"""Tasks for the stager's tests."""

from pathlib import Path

from ipc.parts import Copy, Transfer
from ipc.tasks import StageIn, StageOut, TransferLog
from tests.movers.orders import adler32, noise


def copy_of(source: Path | str, destination: Path | str, copytool: str = "cp", endpoint: str = "SITE_DISK") -> Copy:
    return Copy(copytool=copytool, source=str(source), destination=str(destination), endpoint=endpoint)


def stage_in(tmp_path: Path, count: int = 1, size_bytes: int = 200_000) -> StageIn:
    """Inputs in0, in1, ... made below `tmp_path`/store, to go to `tmp_path`/job."""
    (tmp_path / "store").mkdir(exist_ok=True)
    transfers = []
    for number in range(count):
        name = f"in{number}"
        data = noise(tmp_path / "store" / name, size_bytes)
        copies = (copy_of(tmp_path / "store" / name, tmp_path / "job" / name),)
        checksum = adler32(data)
        transfers.append(Transfer(lfn=name, kind="input", copies=copies, size_bytes=size_bytes, checksum=checksum))
    return StageIn(job_dir=str(tmp_path / "job"), transfers=tuple(transfers))


def one_in(tmp_path: Path, *copies: Copy, **fields: object) -> StageIn:
    transfer = Transfer(**{"lfn": "in0", "kind": "input", "copies": copies, **fields})
    return StageIn(job_dir=str(tmp_path / "job"), transfers=(transfer,))


def one_out(tmp_path: Path, *copies: Copy, **fields: object) -> StageOut:
    transfer = Transfer(**{"lfn": "out0", "kind": "output", "copies": copies, **fields})
    return StageOut(job_dir=str(tmp_path / "job"), transfers=(transfer,))


def transfer_log(tmp_path: Path, copytool: str = "cp", **fields: object) -> TransferLog:
    archive = tmp_path / "job" / "log.tgz"
    values: dict[str, object] = {
        "job_dir": str(tmp_path / "job"),
        "archive_path": str(archive),
        "top_name": "tarball_PandaJob_1_TEST",
        "exclude": (),
        "extras": (),
        "transfer": Transfer(
            lfn="log.tgz", kind="log", copies=(copy_of(archive, tmp_path / "logs" / "log.tgz", copytool),)
        ),
    }
    return TransferLog(**{**values, **fields})
