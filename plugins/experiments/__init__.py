"""One file for each experiment; base.py is the contract, registry.py the list."""
