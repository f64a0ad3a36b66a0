"""The limit of memory, case by case (behaviour 10)."""

import json

import pytest

from jobs.definition import parse
from queues.queue import Queue
from workflows.memory import memory_limit_kb

JOB = {"PandaID": 1, "attemptNr": 1, "transformation": "/bin/true", "jobPars": "", "prodSourceLabel": "managed"}
QUEUE = {"max_rss_mb": 16000, "core_count": 8}
MB = 1024


@pytest.mark.parametrize(
    ("job", "queue", "limit_kb"),
    [
        ({"resource_type": "SCORE", "coreCount": 1}, {}, 2 * 2000 * MB),
        ({"resource_type": "MCORE", "coreCount": 8}, {}, 2 * 16000 * MB),
        ({"resource_type": "MCORE_HIMEM", "coreCount": 8}, {}, 2 * 24000 * MB),
        ({"resource_type": "SCORE_LOMEM", "coreCount": 1}, {}, 2 * 1000 * MB),
        ({"resource_type": "SCORE_NEWMEM", "coreCount": 1}, {}, 2 * 2000 * MB),
        ({"resource_type": "SCORE_VHIMEM", "coreCount": 1}, {}, 2 * 2000 * MB),
        ({"resource_type": "MCORE_VHIMEM", "coreCount": 4}, {}, 2 * 16000 * MB),
        ({"resource_type": "MCORE_VHIMEM", "coreCount": 4}, {"max_rss_mb": 0}, 0),
        ({"resource_type": "SCORE", "coreCount": 1}, {"rss_factor": 1.5}, 3000 * MB),
        ({"minRamCount": 2001}, {}, 2 * 3000 * MB),
        ({"minRamCount": 1}, {}, 2 * 1000 * MB),
        ({}, {}, 0),
    ],
)
def test_limits(job, queue, limit_kb):
    queue = Queue(name="Q", **{**QUEUE, **queue})
    assert memory_limit_kb(parse(json.dumps({**JOB, **job})), queue) == limit_kb
