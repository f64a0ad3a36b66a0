"""An embedded PanDA-compatible server for `bulkhead run`, `bulkhead sandbox` and the tests.

One asyncio process on the loopback interface: hands out jobs, checks every request as strictly as a
real server does, keeps a record of all of them, and fails on command.
Start it with `python -m sandbox` or from code with `sandbox.client.Sandbox`.
"""
