"""The command line: one module a verb."""

from minivae.cli.main import main

__all__ = ["main"]
