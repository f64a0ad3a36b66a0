"""Transfers for other programs."""
