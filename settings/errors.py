"""What is wrong with what the pilot was started with."""


class SettingsError(ValueError):
    """An option, a key of the configuration file or a variable cannot be used; the text says which and what to do."""
