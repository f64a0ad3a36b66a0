"""The last means: the supervisor ends a payload itself, when no runner lives to do it."""

import json
import logging
from pathlib import Path

from host.files import read_bounded
from host.processes import Identity, freeze_and_kill, is_alive
from jobs.steps import control_dirs

_IDENTITY_BYTES = 4096


def end_payload(control_dir: str) -> None:
    """SIGKILL the trees of the payloads and shims that `control_dir` names; what is not there is fine."""
    places = control_dirs(Path(control_dir))
    for path in (place / name for name in ("payload.json", "shim.json") for place in places):
        text = read_bounded(path, _IDENTITY_BYTES)
        try:
            fields = json.loads(text)
            identity = Identity(
                pid=int(fields["pid"]), start_ticks=int(fields["start_ticks"]), boot_id=str(fields["boot_id"])
            )
        except (ValueError, KeyError, TypeError):
            continue
        if is_alive(identity):
            rows = freeze_and_kill([identity.pid], sessions=[identity.pid])
            logging.getLogger("supervisor").warning("ended by the last means: %s", [row.pid for row in rows])
