"""How much memory a payload may use (behaviour 10, "Memory limit"). Pure."""

from jobs.definition import JobDefinition
from queues.queue import Queue

#: MB for each core where the server's table of resource types is not known; another kind has the standard one.
_PER_CORE_MB = {"": 2000, "HIMEM": 3000, "LOMEM": 1000}
_KINDS = ("SCORE", "MCORE")
_STEP_MB = 1000


def memory_limit_kb(job: JobDefinition, queue: Queue) -> int:
    """Return the limit of PSS in kB, the queue's grace included; 0 for none.

    A job of a resource type has that type's memory for each of its cores; one of very high memory has the queue's
    (`maxrss`; with one core its share of it); one without a type has what it asked for, in whole thousands of MB.
    """
    return round(_limit_mb(job, queue) * queue.rss_factor * 1024)


def _limit_mb(job: JobDefinition, queue: Queue) -> float:
    kind, _, memory = job.resource_type.partition("_")
    if kind not in _KINDS:
        return -(-job.min_ram_mb // _STEP_MB) * _STEP_MB
    if memory != "VHIMEM":
        return _PER_CORE_MB.get(memory, _PER_CORE_MB[""]) * max(1, job.core_count)
    if kind == "MCORE":
        return queue.max_rss_mb
    return queue.max_rss_mb / max(1, queue.core_count) * max(1, job.core_count)
