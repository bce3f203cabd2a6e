"""`python -m podgate` is the `podgate` command."""

from podgate.cli import main

main()
