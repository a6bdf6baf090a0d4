"""Results: what a command puts on stdout."""

from __future__ import annotations

import typer


def print_result(text: str | bytes, *, nl: bool = True) -> None:
    """Print `text` to stdout, with a line's end unless `nl` is False.

    Raises SurroundingsError where that can't be written to. That its reader went away is no error
    of the farm's: click ends it quietly, by the OSError.
    """
    try:
        typer.echo(text, nl=nl)
    except BrokenPipeError:
        raise
    except OSError as error:
        from farm.report.console import unwritable

        raise unwritable(error) from error
