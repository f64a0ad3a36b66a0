"""One job under watch: takes the samples when they are due and tells what they say."""

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path

from host.clock import Now
from ipc.tasks import Watch
from jobs.steps import main_dirs
from workers.monitor.keeping import keep, recall
from workers.monitor.machine import Sample, State, TreeSample, absorb, passed_limits, to_tell
from workers.monitor.sampling import Directory, Tree, boot_s, free_disk_bytes, outputs, read_identity
from workers.monitor.summary import read_own_words
from workers.worker import Desk

_log = logging.getLogger("monitor")

#: The first samples come soon after the start, then each waits twice as long, up to the period of the settings.
FIRST_PERIOD_S = 0.5
#: Until the payload is there, it is looked for this often.
LOOK_S = 1.0
#: The share of one core that each of samples, PSS and walks may take; what costs more is done less often, but samples
#: and PSS once in SLOWEST_S. The first few samples are taken whatever they cost.
SHARE = 0.0006
FRESH_SAMPLES = 6
SLOWEST_S = 60.0
#: The directory is walked once in so many periods, so many entries or so long at a time.
WALK_PERIODS = 6
WALK_ENTRIES = 2000
WALK_STEP_S = 0.01
WALK_PAUSE_S = 0.05
_JUST_AFTER_S = 0.01
_PAYLOAD_OUTPUTS = ("payload.stdout", "payload.stderr")


class Watching:
    """The work under the lease of a Watch; `next_at` is when (monotonic) something is due."""

    def __init__(self, lease: str, task: Watch, desk: Desk, sample_s: float, moment: Now) -> None:
        """Take the task; the first sample is due at once."""
        self.next_at = moment.mono
        self._lease = lease
        self._task = task
        self._desk = desk
        self._sample_s = sample_s
        self._period_s = min(FIRST_PERIOD_S, sample_s)
        self._job_dir = Path(task.job_dir)
        self._control_dir = Path(task.control_dir)
        self._tree: Tree | None = None
        self._place: Path | None = None
        self._tree_samples = 0
        self._directory = Directory(self._job_dir)
        # The end of the slot is turned into the clock that nobody can set (P97).
        until_boot_s = boot_s() + task.until_wall - moment.wall if task.until_wall else 0.0
        self._state = recall(self._control_dir, State(until_boot_s=until_boot_s))
        self._sampled_at = moment.mono
        self._sample_at = moment.mono
        self._walk_at = moment.mono
        self._walk_cost_s = 0.0
        self._pss_at = moment.mono
        self._pss_cost_s = 0.0
        self._planned_s = self._period_s
        self._keep_failed = False
        self._kill_told = False

    def act(self, moment: Now) -> None:
        """Do what is due now."""
        if moment.mono >= self._walk_at:
            self._walk(moment)
        if moment.mono >= self._sample_at:
            self._sample(moment)
        self.next_at = min(self._sample_at, self._walk_at)

    def _walk(self, moment: Now) -> None:
        began = time.thread_time()
        whole = self._directory.step(WALK_ENTRIES, WALK_STEP_S)
        self._walk_cost_s += time.thread_time() - began
        if whole:
            self._walk_at = moment.mono + max(WALK_PERIODS * self._period_s, self._walk_cost_s / SHARE)
            self._walk_cost_s = 0.0
        else:
            self._walk_at = moment.mono + WALK_PAUSE_S

    def _sample(self, moment: Now) -> None:
        began = time.thread_time()
        self._pss_cost_s = 0.0
        tree = self._sample_tree(moment)
        sample = Sample(
            boot_s=boot_s(),
            dt_s=moment.mono - self._sampled_at,
            period_s=self._planned_s,
            tree=tree,
            directory=self._directory.latest,
            outputs=outputs(self._job_dir, (*_PAYLOAD_OUTPUTS, *self._task.outputs)),
            free_disk_bytes=free_disk_bytes(self._job_dir),
            own=read_own_words(self._job_dir),
            kill_file=self._is_killed_by_file(tree),
        )
        self._sampled_at = moment.mono
        self._state = absorb(self._state, sample)
        self._state, limits = passed_limits(self._state, self._task, sample)
        self._state, usage = to_tell(self._state, sample.boot_s)
        if usage is not None:
            self._desk.observed(self._lease, usage)
            self._keep()
        for limit in limits:
            _log.warning("limit passed: job=%d code=%d %s", self._task.job_id, limit.code, limit.diag)
            self._desk.observed(self._lease, limit)
        self._plan(moment, sample, time.thread_time() - began - self._pss_cost_s)

    def close(self) -> None:
        """End the watch; a kill file that was told of is taken away, so that it does not end the next job as well."""
        if self._kill_told:
            self._take_kill_file()

    def _is_killed_by_file(self, tree: TreeSample | None) -> bool:
        """Tell whether there is a kill file for the payload; one whose payload is over is obeyed, and taken away."""
        if not self._task.kill_file or not Path(self._task.kill_file).exists():
            return False
        if tree is not None:
            self._kill_told = True
        elif self._tree is not None:
            self._take_kill_file()
        return tree is not None

    def _take_kill_file(self) -> None:
        with contextlib.suppress(OSError):
            Path(self._task.kill_file).unlink()

    def _sample_tree(self, moment: Now) -> TreeSample | None:
        self._find_tree()
        if self._tree is None:
            return None
        with_pss = self._is_fresh or moment.mono >= self._pss_at
        began = time.thread_time()
        sample = self._tree.sample(with_pss=with_pss)
        self._tree_samples += 1
        if with_pss:
            # Reading PSS walks the page tables: it takes long for a large payload.
            self._pss_cost_s = time.thread_time() - began
            self._pss_at = moment.mono + min(self._pss_cost_s / SHARE, SLOWEST_S)
        return sample

    def _find_tree(self) -> None:
        """Take the newest process of the job for its payload; a job may have several, one after the other."""
        places = main_dirs(self._control_dir)
        if not places or places[-1] == self._place:
            return
        payload, first = (read_identity(path / "payload.json") for path in (places[-1], places[0]))
        if payload is None:
            return
        self._place = places[-1]
        since_ticks = (first or payload).start_ticks
        self._tree = Tree(payload, read_identity(places[-1] / "shim.json"), since_ticks, another=self._tree is not None)

    @property
    def _is_fresh(self) -> bool:
        return self._tree is not None and self._tree_samples < FRESH_SAMPLES

    def _plan(self, moment: Now, sample: Sample, cost_s: float) -> None:
        """Set when the next sample is due: soon after the start, then at the pace of the settings or of the cost."""
        if self._tree is None:
            self._period_s = min(LOOK_S, self._sample_s)
        elif self._is_fresh and sample.tree is not None:
            self._period_s = min(FIRST_PERIOD_S * 2 ** (self._tree_samples - 1), self._sample_s)
        else:
            self._period_s = self._sample_s
        slowest_s = 0.0 if self._is_fresh else min(cost_s / SHARE, SLOWEST_S)
        self._planned_s = min(max(self._period_s, slowest_s), *self._limits_due_in(sample))
        self._sample_at = moment.mono + self._planned_s

    def _limits_due_in(self, sample: Sample) -> Iterator[float]:
        """Yield in how many seconds a limit of time will be passed."""
        yield SLOWEST_S
        if self._state.until_boot_s >= sample.boot_s:
            yield self._state.until_boot_s - sample.boot_s + _JUST_AFTER_S
        if self._task.wall_limit_s and sample.tree is not None and sample.tree.age_s <= self._task.wall_limit_s:
            yield self._task.wall_limit_s - sample.tree.age_s + _JUST_AFTER_S

    def _keep(self) -> None:
        try:
            keep(self._control_dir, self._state)
        except OSError as error:
            if not self._keep_failed:
                _log.warning("cannot keep usage: job=%d %s", self._task.job_id, error)
            self._keep_failed = True
