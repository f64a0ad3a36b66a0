"""Whether the worker node is described to the server, and as what (panda-protocol 1.7). Pure."""

from ipc.tasks import DescribeNode
from plugins.experiments.registry import experiment
from settings.settings import Settings
from workflows.request import queue_of


def node_task(settings: Settings, queue_text: str, home: str) -> DescribeNode | None:
    """Return the task that describes the node, None when the experiment does not want it.

    The maps are made in any case that the experiment wants them: file modes put them into a job's metadata. They are
    sent only to a server that gets updates in the dialect that has the calls.
    """
    if not experiment(settings.pilot_user).describes_node():
        return None
    queue = queue_of(queue_text, settings.queue)
    return DescribeNode(
        site=queue.site or queue.panda_resource or settings.queue,
        queue=settings.queue,
        node=settings.node,
        home=home,
        send=settings.update_server and not settings.job_file and settings.server_api == "v1",
    )
