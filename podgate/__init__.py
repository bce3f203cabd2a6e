"""The front door of Podgate: the `podgate` command, its settings and its version."""

from importlib.metadata import version

__version__ = version("podgate")
