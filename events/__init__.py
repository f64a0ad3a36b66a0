"""The event service's rules: words of the channel, ledger of ranges, what to feed, to group and to report. Pure."""
