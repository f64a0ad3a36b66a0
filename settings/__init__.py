"""The command line (options), the configuration file (configfile) and the one frozen Settings made of both."""
