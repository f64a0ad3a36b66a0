"""A file to be transferred, described by attributes."""

from typing import Any


class FileSpec:
    """Any keys as attributes; the kind of file is `filetype`, in older calls `type`."""

    def __init__(self, filetype: str = "input", **keys: Any) -> None:
        self.filetype = str(keys.pop("type", filetype))
        self.lfn = ""
        self.scope = ""
        self.workdir = ""
        self.surl = ""
        self.turl = ""
        self.status: str | None = None
        self.status_code = 0
        for name, value in keys.items():
            setattr(self, name, value)
