"""One sandbox server from start to end: both doors, the first line on standard output, and the ways to end it."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from sandbox.config import SandboxConfig
from sandbox.control import Control
from sandbox.front import Front
from sandbox.make_jobs import JobMaker, Recipe, prepare_storage
from sandbox.public_door import PublicDoor
from sandbox.record import Record

_MAX_BODY_BYTES = 256 << 20


def announce(where: dict[str, Any], port_file: Path | None) -> None:
    """Print where the server is as the first line of standard output, and write it to a file in one step."""
    text = json.dumps(where)
    if port_file is not None:
        draft = port_file.with_name(f".{port_file.name}.{os.getpid()}")
        draft.write_text(f"{text}\n", encoding="utf-8")
        draft.replace(port_file)
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def serve(
    config: SandboxConfig,
    *,
    jobs: list[dict[str, Any]],
    recipe: Recipe | None,
    port_file: Path | None,
    end_with_stdin: bool,
) -> None:
    """Serve until SIGTERM, SIGINT or (when wanted) the end of standard input.

    Args:
        config: The settings.
        jobs: Job definitions to begin with.
        recipe: Jobs to make at the start.
        port_file: File that gets the line printed on standard output.
        end_with_stdin: End when standard input ends, so that the server never outlives its parent.

    Raises:
        OSError: The port, the storage or a certificate cannot be used.
    """
    prepare_storage(config)
    record = Record(config.record_path)
    front = Front(config, record)
    door = PublicDoor(config)
    maker = JobMaker(config, door.url)
    routes = Control(front, door, maker).routes()
    front.jobs.add(jobs)
    if recipe is not None:
        front.jobs.add(maker.make(recipe))
    await door.start(_application(routes, front))
    control_runner, control_url = await _open_control(config, routes)
    announce({"url": door.url, "control_url": control_url, "pid": os.getpid()}, port_file)
    try:
        await _ended(end_with_stdin)
    finally:
        await control_runner.cleanup()
        await door.stop()
        record.close()


def _application(routes: list[web.RouteDef], front: Front | None) -> web.Application:
    app = web.Application(client_max_size=_MAX_BODY_BYTES)
    app.add_routes(routes)
    if front is not None:
        app.router.add_route("*", "/{path:.*}", front.handle)
    return app


async def _open_control(config: SandboxConfig, routes: list[web.RouteDef]) -> tuple[web.AppRunner, str]:
    """Open a second port that stays open while the first one is down."""
    runner = web.AppRunner(_application(routes, None), access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, config.host, 0).start()
    host, port = runner.addresses[0][:2]
    return runner, f"http://{host}:{port}"


async def _ended(end_with_stdin: bool) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    with contextlib.ExitStack() as stack:
        if end_with_stdin:
            descriptor = sys.stdin.fileno()
            loop.add_reader(descriptor, _read_to_end, descriptor, ended.set)
            stack.callback(loop.remove_reader, descriptor)
        await ended.wait()


def _read_to_end(descriptor: int, then: Callable[[], None]) -> None:
    if not os.read(descriptor, 4096):
        then()
