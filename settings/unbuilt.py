"""Options that are accepted and have no effect in this version, and what is said when one is used."""

import argparse

_NOT_BUILT = "is not built in this version and has no effect"
_NOT_IN_V1 = "has no effect: the server's job request no longer has this argument"

#: Option, its name in the namespace, the value that asks for nothing, what is said otherwise.
_OPTIONS = (
    ("--resource", "resource", "", "is obsolete and has no effect"),
    ("--site", "site", "", "is obsolete and has no effect"),
    ("--country-group", "country_group", "", _NOT_IN_V1),
    ("--working-group", "working_group", "", _NOT_IN_V1),
    ("--allow-other-country", "allow_other_country", False, _NOT_IN_V1),
    ("--use-https", "use_https", True, "has no effect: http:// or https:// in --url decides"),
    ("--stageout-attempts", "stageout_attempts", 1, "has no effect: use --set transfer_attempts=N"),
    ("--leasetime", "leasetime", 3600, _NOT_BUILT),
    ("--hpc-resource", "hpc_resource", "", _NOT_BUILT),
    ("--hpc-mode", "hpc_mode", "manytoone", _NOT_BUILT),
    ("--es-executor-type", "es_executor_type", "generic", _NOT_BUILT),
    ("--subscribe-to-msgsvc", "subscribe_to_msgsvc", False, _NOT_BUILT),
)
_BUILT_WORKFLOWS = frozenset({"generic", "production", "analysis"})


def warnings_for(options: argparse.Namespace) -> tuple[str, ...]:
    """Return one line for each option in use that does nothing yet, naming the option."""
    found = [f"{option} {text}" for option, name, idle, text in _OPTIONS if getattr(options, name) != idle]
    if options.workflow not in _BUILT_WORKFLOWS:
        found.append(f"--workflow {options.workflow} is not built in this version: generic is used")
    return tuple(found)
