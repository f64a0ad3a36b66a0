"""What can go wrong, and what each failure is called.

`catalogue.json` is the truth about codes, texts, signals and exit codes; `codes.py` is generated from it.
Everything here is pure: nothing is started, sent or written. Imports nothing of ours.
"""
