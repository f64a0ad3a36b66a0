"""What differs: between experiments (experiments/) and, later, between sites (resources/)."""
