"""The reporter: job source and job sink (server v1 or legacy, plain files) and the queue's description.

In: FetchQueue, AcquireJob, SendUpdate. Out: QueueFetched, JobAcquired, NoJob, UpdateAnswered, or Failed.
duty.ReporterDuty is what the worker's loop drives. machine: which call is under way (pure). courier: the one sender
thread; carrier: what it does (HTTP, bounded). places: which source and sink; server_* and dialect_*, files,
queue_source, calls_*: what is asked and what an answer means; call_names: both dialects' names; node_maps: the worker
node. identity: proxy or token, read for each request.
"""
