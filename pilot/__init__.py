"""The names that Harvester imports from a pilot's tree; importing them starts and changes nothing.

Nothing of the pilot itself is here: `pilot.py` beside this folder is the wrapper's entry, supervisor.py the pilot.
"""
