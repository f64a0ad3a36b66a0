"""The runner: makes a job's directories, starts its payload once, takes it over, ends it.

In: PrepareJob, RunPayload, KillPayload. Out: Prepared, PayloadStarted, PayloadEnded, PayloadKilled.
"""
