"""One file per copy tool, behind the contract of `base.py`; started as children by the stager.

Movers know nothing of jobs: source, destination, size, checksum, time limit, that is all. A new one is a file with
`CAPABILITIES` and `move`, and a line in `registry.py`.
"""
