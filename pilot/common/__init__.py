"""Error codes under the name that Harvester knows."""
