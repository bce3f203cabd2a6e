"""`python -m bench` is `podgate bench`."""

from bench.cli import main

if __name__ == "__main__":
    main()
