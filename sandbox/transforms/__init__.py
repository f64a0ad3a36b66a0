"""Payload scripts, served to pilots under /transforms/NAME; each runs alone, from the standard library only."""
