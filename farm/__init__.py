"""A containerized wheel farm for maturin projects, on one's own machine."""

__version__ = "0.1.0"
