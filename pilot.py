"""The name under which the wrapper starts the pilot: `python3 pilot3/pilot.py -q QUEUE ...`; see supervisor.py."""

import sys

from supervisor import main

if __name__ == "__main__":
    sys.exit(main())
