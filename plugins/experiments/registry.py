"""The experiments that exist: `--pilot-user` name -> where its class is."""

from importlib import import_module

from plugins.experiments.base import Experiment

EXPERIMENTS = {
    "generic": ("plugins.experiments.generic", "Generic"),
}


def experiment(name: str) -> Experiment:
    """Return the plug-in of an experiment; one that is not built yet is served by the generic one."""
    module, kind = EXPERIMENTS.get(name.lower(), EXPERIMENTS["generic"])
    found: Experiment = getattr(import_module(module), kind)()
    return found
