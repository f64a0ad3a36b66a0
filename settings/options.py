"""The command line: all options of the pilots in use (behaviour 1) and a few of our own, in groups, with help.

`parse` returns argparse's namespace; `settings.build` makes Settings of it. An option that is accepted for
compatibility but does nothing yet is listed in `settings.unbuilt`.
"""

import argparse
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from settings.errors import SettingsError
from settings.settings import VERSION
from settings.values import count, yes_no

WORKFLOWS = (
    "generic",
    "generic_hpc",
    "production",
    "production_hpc",
    "analysis",
    "analysis_hpc",
    "eventservice_hpc",
    "stager",
    "payload_stageout",
)
_WORKFLOW_HELP = f"what is done with a job: {', '.join(WORKFLOWS)}"
#: Failed job requests before the pilot gives up, unless -x says otherwise.
GETJOB_FAILURES = 5

_EPILOG = """\
examples:
  take jobs of a queue from the server, as the wrapper does:
    %(prog)s -q MYQUEUE -i PR -j managed --pilot-user generic

  talk to a server of your own, with your proxy ($X509_USER_PROXY) or token ($OIDC_AUTH_TOKEN, $OIDC_AUTH_ORIGIN):
    %(prog)s -q MYQUEUE -j user --url https://panda.example.org:25443

  run one job from a file, without any server, and read the outcome in report.json:
    %(prog)s -q MYQUEUE --queuedata-url ./queuedata.json --job-file job.json --report-file report.json

  change how the pilot supervises itself:
    %(prog)s -q MYQUEUE --set stall_limit_s=120 --set transfer_parallel=8

For people: `bulkhead run`, `bulkhead status` and `bulkhead sandbox`, each with its own --help.

Values that an option does not give come from the file named by $HARVESTER_PILOT_CONFIG, if any; --set wins over its
[Bulkhead] section. Options marked (not built) are accepted so that existing start scripts work, and say so in the log.
"""


class _Parser(argparse.ArgumentParser):
    """A parser that raises instead of leaving the process."""

    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message}; `{self.prog} --help` lists all options")


class _Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Defaults shown, the epilog as it was written."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, "", [], argparse.SUPPRESS) or action.nargs == 0:
            return action.help
        return super()._get_help_string(action)


def _checked(convert: Callable[[str], object]) -> Callable[[str], object]:
    """Have argparse show the converter's own text instead of "invalid ... value"."""

    def checked(text: str) -> object:
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return checked


_YES_NO: dict[str, Any] = {"type": _checked(yes_no), "metavar": "YES/NO"}
_WHOLE: dict[str, Any] = {"type": _checked(count), "metavar": "N"}


def _port(text: str) -> int:
    value = count(text)
    if not 1 <= value <= 65535:
        raise ValueError(f"{text!r} is not a port (1 to 65535)")
    return value


def _queue(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][\w.:+@-]{0,127}", text, re.ASCII):
        raise ValueError(f"{text!r} is not a queue name (letters, digits, and _ . : + @ -)")
    return text


def _resource_type(text: str) -> str:
    if not re.fullmatch(r"|[SM]CORE(_\w+)?", text, re.ASCII):
        raise ValueError(f"{text!r} is none of SCORE, MCORE, SCORE_*, MCORE_*")
    return text


def parser() -> argparse.ArgumentParser:
    """Return the parser with every option; a bad command line raises SettingsError, --help leaves with 0."""
    made = _Parser(
        prog="bulkhead",
        usage="%(prog)s -q QUEUE [options]",
        description="Fetch PanDA jobs for one queue, run them and report them.",
        epilog=_EPILOG,
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    made.add_argument("--version", action="version", version=f"bulkhead {VERSION}")
    for add in (_place, _jobs, _server, _identity, _data, _supervision, _harvester, _event_service, _services):
        add(made)
    return made


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options in `argv` (without the program's name).

    Raises:
        SettingsError: an option is unknown, has a bad value, or `-q` is missing.
    """
    return parser().parse_args(list(argv))


def _place(made: argparse.ArgumentParser) -> None:
    group = made.add_argument_group("who and where")
    add = group.add_argument
    add("-q", "--queue", required=True, type=_checked(_queue), metavar="NAME", help="PanDA queue (required)")
    add("--pilot-user", default="generic", metavar="NAME", help="experiment plug-in, such as atlas or generic")
    add("-w", "--workflow", default="generic", choices=WORKFLOWS, metavar="NAME", help=_WORKFLOW_HELP)
    add("-a", "--workdir", default="", metavar="DIR", help="base directory; a work directory is made below it")
    add("--cleanup", **_YES_NO, default=True, help="remove work directories at the end")
    add("-i", "--versiontag", dest="version_tag", default="PR", metavar="TAG", help="PR, RC, RCM or ALRB")
    add("-r", "--resource", default="", metavar="NAME", help="obsolete, no effect")
    add("-s", "--site", default="", metavar="NAME", help="obsolete, no effect")
    add("-b", "--nocvmfs", dest="check_cvmfs", action="store_false", help="do not check CVMFS")
    add("-d", "--debug", action="store_true", help="log more")
    add("--no-pilot-log", action="store_true", help="write no pilot log file")
    add("--redirect-stdout", default="", metavar="FILE", help="send all output to this file")


def _jobs(made: argparse.ArgumentParser) -> None:
    group = made.add_argument_group("which jobs, how many")
    add = group.add_argument
    add("-j", "--joblabel", dest="job_label", default="ptest", metavar="LABEL", help="managed, user, test, ptest, ...")
    add("--job-type", default="", metavar="TYPE", help="managed or user")
    add("--resource-type", type=_checked(_resource_type), default="", metavar="TYPE", help="SCORE*, MCORE*")
    add("-v", "--getjobrequests", dest="getjob_requests", **_WHOLE, default=2, help="requests without a job")
    add(
        "-x",
        "--getjobfailures",
        dest="getjob_failures",
        **_WHOLE,
        default=GETJOB_FAILURES,
        help="failed requests in all",
    )
    add("--allow-same-user", **_YES_NO, default=True, help="later jobs of the same task only")
    add("-l", "--lifetime", **_WHOLE, default=324000, help="pilot's life in seconds; $PANDAPILOT_LIFETIME wins")
    add("--job-file", default="", metavar="FILE", help="run the one job in this JSON file, without a server")
    add("--report-file", default="", metavar="FILE", help="write the job's updates here (report.json by the job file)")
    add("--country-group", default="", metavar="NAME", help="no effect: current servers do not know it")
    add("--working-group", default="", metavar="NAME", help="no effect: current servers do not know it")
    add("--allow-other-country", **_YES_NO, default=False, help="no effect, as above")


def _server(made: argparse.ArgumentParser) -> None:
    group = made.add_argument_group("the PanDA server")
    add = group.add_argument
    add("--url", default="", metavar="URL", help="server; https unless it says http; a port in it wins over -p")
    add("-p", "--port", type=_checked(_port), default=25443, metavar="N", help="server port")
    add("--server-api", default="v1", choices=("v1", "legacy"), help="dialect; v1 turns to legacy if it must")
    add("-z", "--noserverupdate", dest="update_server", action="store_false", help="send no updates, write a file")
    add("-k", "--noworkerpilotstatusupdate", dest="worker_status", action="store_false", help="no worker status calls")
    add("--queuedata-url", default="", metavar="URL", help="queue description; {pandaqueue} is replaced")
    add("--storagedata-url", default="", metavar="URL", help="storage description")
    add("--use-https", **_YES_NO, default=True, help="no effect: the URL decides")


def _identity(made: argparse.ArgumentParser) -> None:
    group = made.add_argument_group("identity")
    add = group.add_argument
    add("--cacert", dest="ca_cert", default="", metavar="FILE", help="proxy or certificate and key ($X509_USER_PROXY)")
    add("--capath", dest="ca_path", default="", metavar="DIR", help="trusted CAs ($X509_CERT_DIR)")
    add("-t", "--noproxyverification", dest="verify_proxy", action="store_false", help="do not check the proxy's life")
    add(
        "-u",
        "--verifypayloadproxy",
        dest="verify_payload_proxy",
        action="store_false",
        help="fetch no proxy for payloads of users; on a unified queue, do not check it",
    )
    add("-y", "--notokenrenewal", dest="token_renewal", action="store_false", help="do not renew the token")


def _data(made: argparse.ArgumentParser) -> None:
    group = made.add_argument_group("transfers")
    add = group.add_argument
    add("--input-dir", default="", metavar="DIR", help="take inputs from this directory")
    add("--input-destination-dir", default="", metavar="DIR", help="put inputs into this directory, which exists")
    add("--output-dir", default="", metavar="DIR", help="put outputs into this directory")
    add("-g", "--baseurls", default="", metavar="URLS", help="allowed base URLs of transforms, comma separated")
    add("--stageout-attempts", **_WHOLE, default=1, help="(not built) see --set transfer_attempts")
    add("--use-rucio-traces", **_YES_NO, default=True, help="send a trace of each transfer to Rucio")
    add("--rucio-host", default="", metavar="URL", help="Rucio server, which gets the traces")


def _supervision(made: argparse.ArgumentParser) -> None:
    group = made.add_argument_group("supervision")
    add = group.add_argument
    add("--isolation", default="process", choices=("process", "thread"), help="workers as processes, or as threads")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="any field of Tuning or Limits; repeatable")


def _harvester(made: argparse.ArgumentParser) -> None:
    group = made.add_argument_group("Harvester and HPC")
    add = group.add_argument
    mode = str.upper
    add("--harvester-submit-mode", default="PULL", type=mode, choices=("PULL", "PUSH"), help="PUSH: jobs come as files")
    add("--harvester-workdir", default="", metavar="DIR", help="access point, shared with Harvester")
    add("--harvester-datadir", default="", metavar="DIR", help="where the job definition lies")
    add("--harvester-eventstatusdump", default="", metavar="FILE", help="with -z: Harvester's files")
    add("--harvester-workerattributes", default="", metavar="FILE", help="with -z: the same")
    add("--hpc-resource", default="", metavar="NAME", help="(not built) resource plug-in")
    add("--hpc-mode", default="manytoone", metavar="MODE", help="(not built) manytoone or jumbojobs")
    add("--pod", action="store_true", help="runs in a Kubernetes pod: -l alone limits its life")
    add("-L", "--leasetime", **_WHOLE, default=3600, help="(not built) stager's lease in seconds")


def _event_service(made: argparse.ArgumentParser) -> None:
    group = made.add_argument_group("event service")
    kinds = ("generic", "raythena", "hpo", "fineGrainedProc", "base")
    group.add_argument(
        "--es-executor-type", default="generic", choices=kinds, help="executor; all but generic (not built)"
    )


def _services(made: argparse.ArgumentParser) -> None:
    group = made.add_argument_group("messages and logs")
    add = group.add_argument
    add("--subscribe-to-msgsvc", action="store_true", help="(not built) orders from a message broker")
    add("--use-realtime-logging", action="store_true", help="send the payload's output to a log server")
    add("--realtime-logging-server", default="", metavar="KIND;URL", help="log server: loki, logstash, fluent")
    add("--realtime-logname", default="", metavar="NAME", help="name of the stream")
