"""Which tasks follow which (standard), what is asked of the server (request), what a job's updates say (updates)."""
