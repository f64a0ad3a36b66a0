"""The supervisor's edge: guardian, launcher, loop, logs, places. All that starts, kills, sends and writes is here."""
