"""Three listeners of the events: console, JSON, log files."""
