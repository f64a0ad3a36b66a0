"""`python -m sandbox`: the command line of the server."""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sandbox.config import SandboxConfig, read_jobs
from sandbox.make_jobs import Recipe, read_recipe
from sandbox.server import serve

_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def _size(text: str) -> int:
    factor = _UNITS.get(text[-1:].lower(), 1)
    return int(text[:-1] if factor > 1 else text) * factor


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(_size(item) for item in text.split(",") if item)


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("not a JSON object")
    return value


def parser() -> argparse.ArgumentParser:
    """Return the parser of all options."""
    options = argparse.ArgumentParser(prog="sandbox", description="A PanDA-compatible server on this machine.")
    add = options.add_argument
    add("--storage", type=Path, required=True, help="directory that is the storage element")
    add("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    add("--port", type=int, default=0, help="port for pilots; 0 takes a free one (%(default)s)")
    add("--port-file", type=Path, help="file that gets the first line of standard output, written in one step")
    add("--record", type=Path, help="file that gets all requests as JSON lines")
    add("--jobs", type=Path, nargs="+", default=[], metavar="FILE", help="JSON files with job definitions")
    add("--make-jobs", type=int, default=0, metavar="N", help="make N jobs with input files")
    add("--recipe", type=_object, default={}, metavar="JSON", help="members of the recipe for --make-jobs")
    add("--inputs", type=_sizes, help="sizes of each job's input files: 10M,2k")
    add("--outputs", type=_sizes, help="sizes of each job's output files")
    add("--first-id", type=int, help="PandaID of the first job made")
    add("--queue", default="SANDBOX", help="queue name (%(default)s)")
    add("--site", default="SANDBOX-SITE", help="site name (%(default)s)")
    add("--rse", default="SANDBOX_DATADISK", help="name of the storage element (%(default)s)")
    add("--timefloor", type=int, default=0, help="minutes; 0 = one job per pilot (%(default)s)")
    add("--maxwdir", type=int, default=30000, help="limit of the work directory in MB (%(default)s)")
    add("--queue-fields", type=_object, default={}, metavar="JSON", help="overrides in the queue document")
    add("--storage-fields", type=_object, default={}, metavar="JSON", help="overrides in the storage document")
    add("--tls-cert", type=Path, help="PEM certificate chain: speak TLS")
    add("--tls-key", type=Path, help="PEM key of it")
    add("--client-ca", type=Path, help="PEM authorities of client certificates; pilots need an identity then")
    add("--token", help="bearer token of pilots; pilots need an identity then")
    add("--dialects", default="v1", choices=("v1", "legacy", "both"), help="what is understood (%(default)s)")
    add("--proxy-file", type=Path, help="PEM file that get_proxy gives, read anew for each call")
    add("--end-with-stdin", action="store_true", help="end when standard input ends")
    return options


def recipe_of(options: argparse.Namespace) -> Recipe | None:
    """Return the recipe of the jobs to make at the start, or None."""
    if not options.make_jobs:
        return None
    named = {"inputs": options.inputs, "outputs": options.outputs, "first_id": options.first_id}
    given = {name: value for name, value in named.items() if value is not None}
    return read_recipe({**options.recipe, **given, "count": options.make_jobs})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until it is told to end."""
    options = parser().parse_args(arguments)
    config = SandboxConfig(
        storage=options.storage,
        host=options.host,
        port=options.port,
        queue=options.queue,
        site=options.site,
        rse=options.rse,
        timefloor_min=options.timefloor,
        maxwdir_mb=options.maxwdir,
        queue_fields=options.queue_fields,
        storage_fields=options.storage_fields,
        record_path=options.record,
        tls_cert=options.tls_cert,
        tls_key=options.tls_key,
        client_ca=options.client_ca,
        token=options.token,
        dialects=options.dialects,
        proxy_file=options.proxy_file,
    )
    jobs = [job for path in options.jobs for job in read_jobs(path)]
    asyncio.run(
        serve(
            config,
            jobs=jobs,
            recipe=recipe_of(options),
            port_file=options.port_file,
            end_with_stdin=options.end_with_stdin,
        ),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
