"""The supervisor's pure decisions: `step(pilot, event, now) -> (pilot, actions)`. No I/O, no clock, no logging."""
