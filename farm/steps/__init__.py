"""The way a job goes, one module a step."""
