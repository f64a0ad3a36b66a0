"""Which jobs get a proxy of their own, and under which role (panda-protocol 1.8, behaviour 8). Pure."""

from ipc.tasks import FetchProxy
from jobs.definition import JobDefinition
from jobs.names import PAYLOAD_PROXY
from plugins.experiments.roles import PILOT_ROLES, USER_ROLES
from queues.queue import Queue
from settings.settings import Settings

_MARGIN_S = 1200.0
#: What a proxy must have left before the first job, and while one runs (behaviour 10).
START_LEAST_S = 72 * 3600 - _MARGIN_S
RUN_LEAST_S = 3600 - _MARGIN_S


def payload_proxy(job: JobDefinition, queue: Queue, settings: Settings, job_dir: str) -> FetchProxy | None:
    """Return how the payload's own proxy is fetched, None for a payload that gets none.

    It is a user's job of an experiment that names a role, run by a pilot that has a proxy itself, on a queue that is
    unified (where the pilot's own proxy is that of production) or with the verification of payload proxies on.
    """
    wanted = USER_ROLES.get(settings.pilot_user.lower())
    is_unified = queue.type == "unified"
    has_proxy = bool(settings.ca_cert or dict(settings.environment).get("X509_USER_PROXY"))
    if wanted is None or not job.is_analysis or not has_proxy or not settings.verify_proxy:
        return None
    if settings.job_file or not settings.update_server:
        return None
    if not is_unified and not (settings.verify_payload_proxy and settings.payload_proxy_from_server):
        return None
    return FetchProxy(
        path=f"{job_dir}/{PAYLOAD_PROXY}",
        role=wanted.role,
        dn=wanted.dn,
        least_s=RUN_LEAST_S,
        verify=settings.verify_payload_proxy,
    )


def pilot_role(settings: Settings) -> dict[str, str]:
    """Return under which role the pilot's own proxy is renewed, as fields of a CheckIdentity; none if it is not."""
    role = PILOT_ROLES.get(settings.pilot_user.lower())
    return {"proxy_role": role.role, "proxy_dn": role.dn} if role is not None and settings.update_server else {}
