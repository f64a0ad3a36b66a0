"""The edge of the supervisor: guardian, launcher, loop, logs, places. The only code that starts, kills, sends, writes."""
