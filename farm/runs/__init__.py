"""Many jobs: their order, their logs, their report."""
