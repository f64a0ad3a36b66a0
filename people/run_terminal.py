"""`bulkhead run` on a terminal: phases with bars, processes and the last events, drawn in place; rich is needed."""

import time

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from people import terminal
from people.run_view import Order, took_text
from people.sheet import Section, use_text
from people.story import PHASES, JobStory, News, Phase, Story
from people.words import clock_text, duration_text, size_text, state_text

_BAR_WIDTH, _SHORT_BAR_WIDTH, _WIDE = 28, 10, 110
_TIME_WIDTH = 11
_GOOD, _BAD, _NOW, _COMING = "✔", "✘", "●", "·"
_FINISHED_SHOWN = 5
_BYTES_PHASES = ("staging_in", "staging_out")
_MOVING = (*_BYTES_PHASES, "transferring_log")


class TerminalView:
    """A picture of the run that is drawn anew in place, a few times a second at most."""

    tick_s = 0.25

    def __init__(self) -> None:
        self._console = Console()
        self._live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
        self._order = Order(title="", lines=(), jobs=0, input_sizes=(), output_sizes=())

    def begin(self, order: Order) -> None:
        """Print the head and begin to draw."""
        self._order = order
        self._console.print(Text(order.title, style="bold"))
        for line in order.lines:
            self._console.print(Text(f"  {line}", style="dim"), soft_wrap=True)
        self._live.start()

    def show(self, story: Story, news: list[News]) -> None:
        """Draw it."""
        del news  # the story keeps the last ones
        self._live.update(self._drawn(story), refresh=True)

    def pause(self) -> None:
        """Leave the last picture standing."""
        self._live.stop()

    def end(self, sections: list[Section], verdict: str, *, good: bool) -> None:
        """Print the tables and the verdict."""
        terminal.write_sections(sections, self._console)
        self._console.print()
        mark = _GOOD if good else _BAD
        self._console.print(Text(f"{mark} {verdict}", style="bold green" if good else "bold red"))

    def _drawn(self, story: Story) -> RenderableType:
        now_wall = time.time()
        parts: list[RenderableType] = []
        over = [job for job in story.jobs.values() if job.over_wall]
        open_jobs = [job for job in story.jobs.values() if not job.over_wall]
        shown = open_jobs or over[-1:]
        before = [job for job in over if job not in shown]
        if len(before) > _FINISHED_SHOWN:
            parts.append(Text(f"  {len(before) - _FINISHED_SHOWN} jobs before", style="dim"))
        parts += [self._line(job) for job in before[-_FINISHED_SHOWN:]]
        for job in shown:
            number = list(story.jobs).index(job.job_id) + 1
            took = took_text(job.began_wall, job.over_wall, now_wall)
            title = Text.assemble(
                ("\nJob ", "bold blue"), (str(job.job_id), "bold"), f"  {number} of {self._order.jobs}"
            )
            parts += [title.append(f", {took}", style="dim"), self._phases(story, job, now_wall)]
        if not shown:
            parts.append(Text("\nThe pilot starts and asks for a job ...", style="dim"))
        if not story.over:
            parts += [Text("\nProcesses", style="bold blue"), self._processes(story)]
        parts += [Text("\nEvents", style="bold blue"), self._events(story)]
        return Group(*parts)

    def _line(self, job: JobStory) -> Text:
        mark, style = (_BAD, "red") if job.error_code else (_GOOD, "green")
        word = f"failed with {job.error_code}" if job.error_code else "finished"
        took = duration_text(job.over_wall - job.began_wall)
        return Text.assemble((f"  {mark} ", style), f"job {job.job_id} {word} ", (took, "dim"))

    def _phases(self, story: Story, job: JobStory, now_wall: float) -> RenderableType:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(min_width=3, no_wrap=True)
        table.add_column(min_width=max(map(len, PHASES)), no_wrap=True)
        table.add_column(min_width=_TIME_WIDTH, justify="right", no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis")
        states = [phase.state for phase in job.phases]
        coming = [state for state in PHASES if state not in states]
        last = PHASES.index(states[-1]) if states and states[-1] in PHASES else len(PHASES)
        for phase in job.phases:
            failed = phase.state == "failing"
            mark, style = (_GOOD, "green") if phase.ended_wall else (_NOW, "cyan")
            mark, style = (_BAD, "red") if failed else (mark, style)
            took = took_text(phase.began_wall, phase.ended_wall, now_wall)
            name = Text(state_text(phase.state), style="bold" if not phase.ended_wall else "")
            table.add_row(Text(f"  {mark}", style=style), name, took, self._detail(story, job, phase))
        for state in coming:
            if not job.over_wall and PHASES.index(state) > last:
                table.add_row(Text(f"  {_COMING}", style="dim"), Text(state_text(state), style="dim"), "", "")
        return table

    def _detail(self, story: Story, job: JobStory, phase: Phase) -> RenderableType:
        if phase.state in _BYTES_PHASES:
            return self._bar(phase, well=not (job.error_code and phase is job.phases[-1]))
        if phase.state == "running":
            return Text(use_text(job.payload_use, job.usage), style="dim")
        if phase.state == "reporting" and not phase.ended_wall:
            return Text(f"{story.waiting_updates} update(s) wait for the server", style="dim")
        if phase.state == "failing":
            return Text(f"{job.error_code} {job.error_diag}", style="red")
        return Text("")

    def _bar(self, phase: Phase, *, well: bool) -> RenderableType:
        inward = phase.state == "staging_in"
        sizes = self._order.input_sizes if inward else self._order.output_sizes
        # The transform is fetched with the inputs: the stager counts it, the order does not know it.
        total, all_files = max(sum(sizes), phase.bytes_total), max(len(sizes), phase.files_total)
        whole = bool(phase.ended_wall) and well
        done = total if whole else min(phase.bytes_done, total)
        files = all_files if whole else phase.files_done
        rate = ""
        if whole and phase.ended_wall > phase.began_wall:
            rate = f", {size_text(total / (phase.ended_wall - phase.began_wall))}/s"
        words = f"{size_text(done)} of {size_text(total)}, {files} of {all_files} files{rate}"
        width = _BAR_WIDTH if self._console.width >= _WIDE else _SHORT_BAR_WIDTH
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_column(min_width=width)
        row.add_column(no_wrap=True, overflow="ellipsis")
        row.add_row(
            ProgressBar(total=max(1, total), completed=done, width=width),
            Text(words, style="dim"),
        )
        return row

    def _processes(self, story: Story) -> RenderableType:
        table = Table.grid(padding=(0, 3, 0, 0))
        # A worker that has nothing to do any more is in no hurry to say so.
        moves = any(job.phases[-1].state in _MOVING for job in story.jobs.values() if not job.over_wall)
        rows = [("guardian", story.guardian_pid, 0, ""), self._supervisor(story)]
        rows += [
            (worker.role, worker.pid if story.supervisor_pid else 0, worker.restarts, worker.doing if moves else "")
            for worker in story.workers.values()
        ]
        rows += [
            (f"payload of {job.job_id}", job.payload_pid, 0, "")
            for job in story.jobs.values()
            if job.payload_pid and not job.over_wall and job.phases[-1].state in ("running", "failing")
        ]
        for what, pid, restarts, doing in rows:
            again = Text(f"started again {restarts}x" if restarts else "", style="yellow")
            alive = Text(str(pid), style="cyan") if pid else Text("-", style="dim")
            table.add_row(Text(f"  {what}"), alive, again, Text(doing, style="dim"))
        return table

    def _supervisor(self, story: Story) -> tuple[str, int, int, str]:
        gone = not story.supervisor_pid and story.supervisor_restarts
        return ("supervisor", story.supervisor_pid, story.supervisor_restarts, "is coming back" if gone else "")

    def _events(self, story: Story) -> RenderableType:
        table = Table.grid(padding=(0, 2, 0, 0))
        for item in story.last_news:
            table.add_row(Text(f"  {clock_text(item.wall, thousandths=True)}", style="dim"), Text(item.text))
        return Padding(table, (0, 0, 0, 0))
