"""How a payload's command tells it the name of the channel (event-service 4.2). Pure."""

import re

_VARIABLE = "PILOT_EVENTRANGECHANNEL"
_CA = re.compile(r"(?<!\S)--CA(?![\w-])")
_THREADS = re.compile(r"--multithreaded[= ]true", re.IGNORECASE)
_OPTIONS = re.compile(r"--athenaopts[= ](['\"]?)")
_PRE_EXEC = re.compile(r"(?<!\S)--preExec(?:=|\s+)")
_IMPORT = "jobproperties as jps;"


def inject(command: str, channel: str) -> str:
    """Return the command with the channel's name in it exactly once, by the first rule that applies.

    Raises:
        ValueError: the name has characters that a shell would read.
    """
    if not re.fullmatch(r"[\w.:/@+=,%-]+", channel, re.ASCII):
        raise ValueError(f"{channel!r} cannot be told to a payload")
    command = command.strip().removesuffix(";").rstrip()
    if _VARIABLE in command:
        return f'export {_VARIABLE}="{channel}"; {command}'
    if _CA.search(command) and _THREADS.search(command):
        return _into_options(command, channel)
    if _CA.search(command):
        return _into_pre_exec(command, f'ConfigFlags.MP.EventRangeChannel="{channel}"')
    flag = f'jps.AthenaMPFlags.EventRangeChannel="{channel}"'
    option = _PRE_EXEC.search(command)
    at = command.find(_IMPORT, option.end()) if option else -1
    if option is not None and at >= 0:
        at += len(_IMPORT)
        inner = flag if command[option.end()] != '"' else flag.replace('"', '\\"')
        return f"{command[:at]}{inner};{command[at:]}"
    return _into_pre_exec(command, f"from AthenaMP.AthenaMPFlags import {_IMPORT}{flag}")


def _into_options(command: str, channel: str) -> str:
    words = f' --mtes --mtes-channel="{channel}" '
    match = _OPTIONS.search(command)
    if match is None:
        return f"{command} --athenaopts='{words}'"
    if match[1] == '"':
        words = words.replace('"', '\\"')
    elif not match[1]:
        words = f"'{words}'"  # the shell joins it with what follows
    return f"{command[: match.end()]}{words}{command[match.end() :]}"


def _into_pre_exec(command: str, fragment: str) -> str:
    match = _PRE_EXEC.search(command)
    if match is None:
        return f"{command} --preExec '{fragment}'"
    return f"{command[: match.start()]}--preExec '{fragment}' {command[match.end() :]}"
