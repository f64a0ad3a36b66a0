"""The bus: every message (schema), its JSON codec, the supervisor's end (bus) and the worker's end (link)."""
