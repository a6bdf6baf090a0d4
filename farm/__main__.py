"""`python -m farm` is `farm`."""

from farm.cli.main import run

if __name__ == "__main__":
    run()
