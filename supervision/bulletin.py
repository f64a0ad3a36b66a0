"""The bulletin: what people may see of a running pilot, published on a socket of its own in the runtime directory.

Telemetry only (pitfall P56): a picture is sent when somebody begins to listen and after each step while somebody does.
Nothing can be asked or ordered here, so it needs no keys; the directory is closed to other users.
"""

import json
from pathlib import Path
from typing import Any

import zmq

from core.state import Pilot
from host.clock import Now

NAME = "bulletin"


class Bulletin:
    """The publishing end."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], run_dir: Path | None) -> None:
        self.socket: zmq.Socket[bytes] = context.socket(zmq.XPUB)
        self.socket.linger = 0
        self.socket.sndhwm = 10
        # Each listener is greeted, not the first one alone.
        self.socket.setsockopt(zmq.XPUB_VERBOSER, 1)
        self._readers = 0
        if run_dir is not None:
            self.socket.bind(f"ipc://{run_dir / NAME}")

    def greet(self) -> bool:
        """Take note of who came and went; True when somebody is new."""
        came = False
        while True:
            try:
                frame = self.socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return came
            if frame[:1] == b"\x01":
                self._readers += 1
                came = True
            elif frame[:1] == b"\x00":
                self._readers = max(0, self._readers - 1)

    def publish(self, pilot: Pilot, pids: dict[str, int], now: Now) -> None:
        """Send the picture, if anybody looks."""
        if self._readers:
            self.socket.send(json.dumps(picture(pilot, pids, now)).encode(), zmq.NOBLOCK)

    def close(self) -> None:
        """Close the socket."""
        self.socket.close(0)


def picture(pilot: Pilot, pids: dict[str, int], now: Now) -> dict[str, Any]:
    """Return the pilot as people see it: workers, jobs, progress, updates that wait. No parameters, no secrets."""
    return {
        "wall": now.wall,
        "began": pilot.ledger.began_wall,
        "main_dir": pilot.main_dir,
        "queue": pilot.settings.queue,
        "over": pilot.ledger.hunt.over,
        "jobs_taken": pilot.ledger.hunt.jobs_taken,
        "ending": pilot.ledger.ending.text if pilot.ledger.ending else "",
        "waiting_updates": len(pilot.ledger.outbox),
        "workers": [
            {
                "role": worker.role,
                "phase": worker.phase.value,
                "pid": pids.get(worker.role, worker.pid),
                "restarts": worker.restarts,
                "progress": [
                    {name: getattr(progress, name) for name in type(progress).__dataclass_fields__}
                    for progress in worker.progress
                ],
            }
            for worker in pilot.workers.values()
        ],
        "jobs": [
            {
                "job_id": job.job_id,
                "attempt_nr": job.attempt_nr,
                "state": job.state.value,
                "error_code": job.error_code,
                "error_diag": job.error_diag,
                "payload_pid": job.payload_pid,
                "usage": {name: getattr(job.usage, name) for name in type(job.usage).__dataclass_fields__}
                if job.usage
                else None,
            }
            for job in pilot.ledger.jobs.values()
        ],
    }
