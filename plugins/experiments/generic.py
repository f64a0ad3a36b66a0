"""The generic experiment: transformation and parameters as the job says them, an environment from an allow-list."""

import re

from ipc.parts import Variable
from jobs.definition import JobDefinition
from jobs.transform import decide_transform
from queues.queue import Queue
from settings.settings import Settings

#: What a payload may know of the pilot's environment (pitfall P107): nothing of credentials, loaders or the pilot.
ALLOWED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TERM|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|HOSTNAME"
    r"|MACHINEFEATURES|JOBFEATURES|ATHENA_PROC_NUMBER|ATHENA_CORE_NUMBER|OMP_NUM_THREADS"
    r"|ATLAS_[A-Z_]+|VO_[A-Z]+_SW_DIR|ALRB_[A-Z_]+|FRONTIER_[A-Z_]+|CMS_PATH|RUCIO_LOCAL_SITE_ID"
    r"|(http|https|ftp|no)_proxy|(HTTP|HTTPS|NO)_PROXY|X509_CERT_DIR|CUDA_VISIBLE_DEVICES|SLURM_[A-Z_]+"
)
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
_PAIR = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(\S*)")


class Generic:
    """Jobs of any experiment that needs no set-up of its own."""

    def describes_node(self) -> bool:
        """Tell that it is not: only sites that account for their nodes want it."""
        return False

    def payload_command(self, job: JobDefinition, settings: Settings) -> str:
        """Return "./<transform> <parameters>" (behaviour 13)."""
        return decide_transform(job.transformation, settings.base_urls).command_line(job.parameters)

    def payload_environment(self, job: JobDefinition, queue: Queue, settings: Settings) -> tuple[Variable, ...]:
        """Return the allowed part of the pilot's environment, the queue's pairs, and the job's own variables."""
        values = {name: value for name, value in settings.environment if ALLOWED.fullmatch(name)}
        values.setdefault("PATH", _DEFAULT_PATH)
        values.update(_PAIR.findall(queue.environ))
        values.update(job.environment)
        values["PandaID"] = str(job.job_id)
        values["PanDA_AttemptNr"] = str(job.attempt_nr)
        values["PANDA_RESOURCE"] = queue.panda_resource or settings.queue
        values.setdefault("ATHENA_PROC_NUMBER", str(job.core_count))
        return tuple(Variable(name=name, value=value) for name, value in sorted(values.items()))
