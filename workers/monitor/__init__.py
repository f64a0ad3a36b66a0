"""The monitor: measures a payload's tree and its job directory, and holds the job's limits.

In: Watch. Out: Usage and LimitExceeded as observations; a Watch ends when it is cancelled.
"""
