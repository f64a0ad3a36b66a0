"""A file to be transferred, described by attributes."""

from typing import Any


class FileSpec:
    """Any keys as attributes; the kind of file is `filetype`, in older calls `type`.

    Attributes:
        lfn, scope, dataset, guid, ddmendpoint: as in a job definition; may be None.
        filesize: bytes, None or 0 where unknown; set by a transfer.
        checksum: {"adler32": "0a1b2c3d"} or {"md5": ...}, or one text ("ad:..."); set by a transfer.
        workdir: where an input goes to, or an output lies.
        surl, turl: a URL or path that is known; `turl` is set to the place that was used.
        replicas: further places of an input: texts, or objects with `pfn`, `turl` or `surl`.
        status: None, then "transferred" or "failed".
        status_code: 0, or the pilot error code of a failure.
        status_text: what happened, "" when all is well.
    """

    def __init__(self, filetype: str = "input", **keys: Any) -> None:
        self.filetype = str(keys.pop("type", filetype))
        self.lfn = ""
        self.scope: str | None = ""
        self.dataset: str | None = ""
        self.guid: str | None = ""
        self.ddmendpoint: str | None = ""
        self.filesize: int | None = None
        self.checksum: Any = {}
        self.workdir: str | None = ""
        self.surl: str | None = ""
        self.turl: str | None = ""
        self.replicas: Any = ()
        self.status: str | None = None
        self.status_code = 0
        self.status_text = ""
        for name, value in keys.items():
            setattr(self, name, value)

    def __repr__(self) -> str:
        return f"FileSpec({self.filetype} {self.scope}:{self.lfn} {self.status or 'new'} {self.status_code})"
