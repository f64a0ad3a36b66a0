"""One job that meets a trouble on its way to the server at each kind of call, and gets over every one of them.

A trouble lies between the pilot and a server that is well: names that do not resolve, a TLS end that cannot be trusted.
"""

from collections.abc import Sequence
from typing import Protocol

from tests.chaos.pilotrun import PilotRun
from tests.waiting import wait_until

#: Answers are waited for so long here, an update is due each second; the defaults are 120 s and 1800 s.
CONFIG = "[Pilot]\nhttp_connect_timeout: 1\nhttp_maxtime: 1\nheartbeat: 1\n"
DIALECTS = {"v1": ("acquire_jobs", "update_job"), "legacy": ("getJob", "updateJob")}


class Trouble(Protocol):
    """What can go wrong on the way."""

    def begin(self, kind: str) -> None:
        """Let it go wrong for every connection from now on, and cut those that are open."""

    def end(self) -> None:
        """Let it be well again."""


class Way:
    """The steps of a job with a trouble at each call: the descriptions, the job request, three kinds of update.

    Attributes:
        met: (place, kind) of each trouble that was met.
    """

    def __init__(self, run: PilotRun, trouble: Trouble, kinds: Sequence[str], dialect: str) -> None:
        self._run = run
        self._trouble = trouble
        self._kinds = kinds
        self._acquire, self._update = DIALECTS[dialect]
        self._options = ("--server-api", "legacy") if dialect == "legacy" else ()
        self.met: list[tuple[str, str]] = []

    def go(self, *options: str, descriptions: str, **start: object) -> int:
        """Run one job to its end, return its PandaID; nothing reaches the server while there is trouble.

        Args:
            options: The pilot's.
            descriptions: The document that meets the trouble first: "queue_data" or "storage_data".
            start: More for `PilotRun.start`.
        """
        run, sandbox = self._run, self._run.sandbox
        (run.home / "pilot.cfg").write_text(CONFIG)
        environ = {"HARVESTER_PILOT_CONFIG": str(run.home / "pilot.cfg"), **start.pop("environment", {})}
        (job_id,) = sandbox.make_jobs(1, inputs=[100], outputs=[100], payload={"until": str(run.payload_end)})
        if descriptions == "storage_data":
            sandbox.fault("storage_data", "http_500")  # the queue's document is kept meanwhile
        else:
            self._begin("queue_data")
        sandbox.fault(self._acquire, "http_500")
        words = ("-v", "99", "-x", "99", *self._options, *options)
        # An update that hangs is heard of before a newer one takes its place.
        tuning = {"queue_pause_s": 0.7, "getjob_pause_s": 0.7, "supersede_after_s": 2}
        run.start(*words, environment=environ, **tuning, **start)
        if descriptions == "storage_data":
            run.wait_call("storage_data")
            self._begin("storage_data")
        self._over("it is asked for again", 1 + (descriptions == "storage_data"))
        run.wait_call(self._acquire)
        self._begin(self._acquire)
        self._over("no job: ", 2)
        run.wait_log("received -> preparing")  # not before: a cut answer would lose the job
        self._begin("first update")
        self._over("not delivered (try", 1)
        run.wait_log("starting -> running")
        run.wait_call(self._update, **{"job_status" if self._update == "update_job" else "state": "running"})
        self._begin("running update")
        self._over("not delivered (try", run.log().count("not delivered (try") + 1)
        self._begin("final update")
        run.payload_end.touch()
        run.wait_log("transferring_log -> reporting")
        self._over("not delivered (try", run.log().count("not delivered (try") + 2)
        assert run.wait_exit() == 0, run.story()
        return job_id

    def _begin(self, place: str) -> None:
        kind = self._kinds[len(self.met) % len(self._kinds)]
        self.met.append((place, kind))
        self._trouble.begin(kind)
        self._reached = self._calls()

    def _over(self, text: str, times: int) -> None:
        """Let the trouble end once the log tells so many times of it."""
        what = f"not {times} times {text!r} at {self.met[-1]}"
        try:
            wait_until(lambda: self._run.log().count(text) >= times, 15, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self._run.story()}") from None
        assert self._calls() == self._reached, f"{self.met[-1]}: {self._run.story()}"
        self._trouble.end()

    def _calls(self) -> int:
        """Return how many requests of the reporter came; the payload's script is brought another way."""
        return sum(entry["call"] != "transform" for entry in self._run.sandbox.record())
