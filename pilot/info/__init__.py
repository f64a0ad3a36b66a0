"""Queue information and file descriptions under the names that Harvester knows."""
