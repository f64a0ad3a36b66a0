"""A mover child alone: what the stager starts, given orders directly."""

import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.scenario import WrongOutcomeError
from movers.base import Order
from movers.child import arguments


def move_in(sources: Sequence[Path], folder: Path) -> float:
    """Return how long one child takes to bring `sources`, hashed, from its start on; what it made is removed."""
    folder.mkdir()
    began = time.monotonic()
    with subprocess.Popen(arguments(), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        for number, source in enumerate(sources):
            order = Order(str(source), str(folder / source.name), "in", source.stat().st_size, token="bench")
            message = {"id": number, "kind": "move", "mover": "cp", "order": order._asdict()}
            child.stdin.write(json.dumps(message).encode() + b"\n")
            child.stdin.flush()
            while b'"result"' not in (line := child.stdout.readline()):
                if not line or b'"error"' in line:
                    raise WrongOutcomeError(f"the mover failed: {line!r}")
        seconds = time.monotonic() - began
        child.stdin.close()
    shutil.rmtree(folder)
    return seconds
