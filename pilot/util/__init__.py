"""Exit codes under the names that Harvester knows."""
