"""What an experiment may decide about a job. All of it is pure; the runner does what comes out."""

from typing import Protocol

from ipc.parts import Variable
from jobs.definition import JobDefinition
from queues.queue import Queue
from settings.settings import Settings


class Experiment(Protocol):
    """The contract of an experiment's plug-in."""

    def describes_node(self) -> bool:
        """Tell whether the server is told of the worker node and its GPUs at the pilot's start."""

    def payload_command(self, job: JobDefinition, settings: Settings) -> str:
        """Return the payload's shell line, run in the job directory.

        Raises:
            JobError: when the job cannot be run as it is described.
        """

    def payload_environment(self, job: JobDefinition, queue: Queue, settings: Settings) -> tuple[Variable, ...]:
        """Return the payload's whole environment: an allow-list of the pilot's own, and what tells it of its job."""
