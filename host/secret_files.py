"""Files that hold a secret: nobody else can read them at any moment, and no link is followed (pitfall P119)."""

import contextlib
import os
import secrets
from pathlib import Path

#: The end of the names of credentials that were renewed and could not take the place of the old ones.
RENEWED_SUFFIX = ".renewed"


def remove_renewed(home: Path) -> None:
    """Remove the renewed credentials that lie in a pilot's home; one that cannot be removed is left."""
    for path in home.glob(f".*{RENEWED_SUFFIX}"):
        with contextlib.suppress(OSError):
            path.unlink()


def write_secret(path: Path, text: str) -> None:
    """Replace `path` by a file of mode 0600 with `text`: new file under a name that cannot be guessed, then a rename.

    Raises:
        OSError: it could not be written; `path` then is what it was before.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
