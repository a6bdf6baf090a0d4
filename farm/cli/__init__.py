"""The command line: one module a command; wiring, nothing else."""
