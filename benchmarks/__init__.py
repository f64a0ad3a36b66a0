"""The benchmarks: real pilots against the embedded server, measured beside the budgets (docs/design.md).

`python -m benchmarks` prints a table; `--list` names the scenarios, one small file each in `scenarios/`. Nothing here
is a test: the numbers are medians of one machine on one day, its load is printed with them.
"""
