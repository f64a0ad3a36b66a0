"""What a job is: its definition and files, its states (one table), its record, the journal and the log archive."""
