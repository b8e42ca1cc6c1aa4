"""opskit: one command for the jobs around a running service."""

__version__ = "0.1.0"
