"""The reporter: job source and job sink (server v1, plain files) and the queue's description.

In: FetchQueue, AcquireJob, SendUpdate. Out: QueueFetched, JobAcquired, NoJob, UpdateAnswered, or Failed.
duty.ReporterDuty is what the worker's loop drives. machine: which call is under way (pure). courier: the one sender
thread; carrier: what it does (HTTP, bounded). places: which source and sink; server_v1 and dialect_v1, files,
queue_source: what is asked and what an answer means. identity: proxy or token, read for each request.
"""
