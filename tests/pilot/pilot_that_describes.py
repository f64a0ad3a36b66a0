"""A pilot of an experiment that wants its worker nodes described; no experiment that is built does."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from plugins.experiments.generic import Generic
from supervisor import main

Generic.describes_node = lambda _self: True

if __name__ == "__main__":
    sys.exit(main())
