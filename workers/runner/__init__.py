"""The runner: makes a job's directories, starts its payload once, takes it over, ends it.

In: PrepareJob, RunPayload, FeedEvents, KillPayload, Heed. Out: Prepared, PayloadStarted, PayloadEnded, PayloadKilled,
and of a payload that is fed with events ChannelOpen, Wanted, EventsCounted, EventsFed.
"""
