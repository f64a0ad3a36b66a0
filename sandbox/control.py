"""The control endpoints below /sandbox/: faults, commands, jobs, the record, and being down."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from sandbox.event_table import EventTable
from sandbox.faults import read_fault
from sandbox.front import Front
from sandbox.job_store import JobExistsError
from sandbox.make_jobs import JobMaker, read_recipe
from sandbox.public_door import PublicDoor

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control:
    """Handlers of all control endpoints; the same on both doors."""

    def __init__(self, front: Front, door: PublicDoor, maker: JobMaker) -> None:
        self._front = front
        self._door = door
        self._maker = maker

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, each of which answers a wrong request with 400 and the reason."""
        table: tuple[tuple[str, str, _Handler], ...] = (
            ("GET", "/sandbox/record", self.get_record),
            ("GET", "/sandbox/wait", self.wait),
            ("GET", "/sandbox/jobs", self.get_jobs),
            ("GET", "/sandbox/jobs/{job_id}", self.get_job),
            ("POST", "/sandbox/jobs", self.add_jobs),
            ("POST", "/sandbox/make_jobs", self.make_jobs),
            ("POST", "/sandbox/fault", self.set_fault),
            ("GET", "/sandbox/faults", self.get_faults),
            ("DELETE", "/sandbox/faults", self.clear_faults),
            ("POST", "/sandbox/command", self.command),
            ("POST", "/sandbox/state", self.set_state),
            ("POST", "/sandbox/events", self.events),
            ("POST", "/sandbox/queue", self.change_queue),
            ("POST", "/sandbox/down", self.down),
            ("POST", "/sandbox/up", self.up),
            ("POST", "/sandbox/reset", self.reset),
        )
        return [web.route(method, path, _refusing(handler)) for method, path, handler in table]

    async def get_record(self, request: web.Request) -> web.Response:
        """Return the entries from `since` on, those of one `call` when named."""
        entries = self._front.record.since(int(request.query.get("since", "0")))
        call = request.query.get("call")
        wanted = [entry for entry in entries if call in {None, entry["call"]}]
        return web.json_response({"records": wanted, "next": self._front.record.length})

    async def wait(self, request: web.Request) -> web.Response:
        """Return the entries from `since` on, once there is one or `timeout` seconds are over."""
        since = int(request.query.get("since", "0"))
        entries = await self._front.record.wait(since, float(request.query.get("timeout", "10")))
        return web.json_response({"records": entries, "next": self._front.record.length})

    async def get_jobs(self, _request: web.Request) -> web.Response:
        """Return the state of all jobs."""
        return web.json_response([job.describe() for job in self._front.jobs.all()])

    async def get_job(self, request: web.Request) -> web.Response:
        """Return the state of one job."""
        job = self._front.jobs.get(int(request.match_info["job_id"]))
        if job is None:
            raise web.HTTPNotFound(text="no such job")
        return web.json_response(job.describe())

    async def add_jobs(self, request: web.Request) -> web.Response:
        """Queue job definitions: a list, or an object with the list as `jobs`."""
        body = await request.json()
        definitions = body["jobs"] if isinstance(body, dict) else body
        return web.json_response({"job_ids": self._front.jobs.add(definitions)})

    async def make_jobs(self, request: web.Request) -> web.Response:
        """Make jobs and their input files from a recipe, and queue them."""
        recipe = read_recipe(await request.json())
        definitions = await asyncio.to_thread(self._maker.make, recipe)
        return web.json_response({"job_ids": self._front.jobs.add(definitions), "jobs": definitions})

    async def set_fault(self, request: web.Request) -> web.Response:
        """Arm a fault."""
        self._front.faults.set(read_fault(await request.json()))
        return await self.get_faults(request)

    async def get_faults(self, _request: web.Request) -> web.Response:
        """Return the faults armed now."""
        return web.json_response(self._front.faults.describe())

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Disarm all faults."""
        self._front.faults.clear()
        return await self.get_faults(request)

    async def command(self, request: web.Request) -> web.Response:
        """Put a command into the answers to a job's updates, `times` times or (null) until replaced.

        `pilot_secrets`, an object, is in all answers from then on.
        """
        body = await request.json()
        job = self._front.jobs.get(int(body["job_id"]))
        if job is None:
            raise web.HTTPNotFound(text="no such job")
        job.command, job.command_times, job.commands_sent = str(body["command"]), body.get("times"), 0
        job.pilot_secrets = body.get("pilot_secrets", job.pilot_secrets)
        return web.json_response(job.describe())

    async def set_state(self, request: web.Request) -> web.Response:
        """Put a job into a `state`, whatever it is in; null forgets the job."""
        body = await request.json()
        self._front.jobs.set_state(int(body["job_id"]), body["state"])
        return web.json_response({"job_id": body["job_id"], "state": body["state"]})

    async def events(self, request: web.Request) -> web.Response:
        """Say how many event ranges (`count`) of how many events (`span`) a job has, before it asks for the first."""
        body = await request.json()
        job = self._front.jobs.get(int(body["job_id"]))
        if job is None:
            raise web.HTTPNotFound(text="no such job")
        job.events = EventTable(count=int(body["count"]), span=int(body.get("span", 1)))
        return web.json_response(job.describe())

    async def change_queue(self, request: web.Request) -> web.Response:
        """Change fields of the queue document."""
        self._front.queue_changes.update(await request.json())
        return web.json_response(self._front.queue_changes)

    async def down(self, request: web.Request) -> web.StreamResponse:
        """Close the pilot's door for `seconds`, or (null) until /sandbox/up.

        It is closed when the answer comes. Asked through the pilot's own door, the answer is the last thing that
        comes out of it.
        """
        seconds = (await request.json()).get("seconds") if request.can_read_body else None
        response = web.json_response({"down": True, "seconds": seconds})
        await self._door.close(None if seconds is None else float(seconds))
        if self._door.owns(request):
            await response.prepare(request)
            await response.write_eof()
        self._door.abort_connections()
        return response

    async def up(self, _request: web.Request) -> web.Response:
        """Open the pilot's door again."""
        await self._door.open()
        return web.json_response({"down": False})

    async def reset(self, _request: web.Request) -> web.Response:
        """Forget jobs, faults, changes of the queue and the record in memory, and open the door."""
        self._front.jobs.clear()
        self._front.faults.clear()
        self._front.queue_changes.clear()
        self._front.record.clear()
        await self._door.open()
        return web.json_response({"next": self._front.record.length})


def _refusing(handler: _Handler) -> _Handler:
    async def guarded(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except JobExistsError as err:
            return _problem(409, err)
        except (ValueError, KeyError, TypeError) as err:
            return _problem(400, err)

    return guarded


def _problem(status: int, err: Exception) -> web.Response:
    body: dict[str, Any] = {"error": f"{type(err).__name__}: {err}"}
    return web.Response(status=status, text=json.dumps(body), content_type="application/json")
