"""What people look at: `bulkhead run`, `bulkhead status`, `bulkhead sandbox`; nothing of the pilot depends on it."""
