"""The scenarios: one small file each, `SCENARIO` in it, named in `benchmarks/registry.py`."""
