"""Everything decided at start: `build.build` makes the one frozen `settings.Settings` (imports fast, no network).

options: the command line; configfile: the INI file; node: facts of the node; server: URL and label rules; unbuilt: what
is accepted without effect yet; values: text into values; errors: SettingsError, whose text says what to do.
"""
