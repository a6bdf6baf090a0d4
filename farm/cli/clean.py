"""`farm clean`: take away what runs left."""

from __future__ import annotations

from typing import Annotated

import typer

EXAMPLES = """\b
Examples:
  farm clean                        what runs that were killed left on the engine
  farm clean --kept                 failed jobs, too, that are kept for farm shell
  farm clean --cache                wheels of earlier runs, too
"""


def clean(
    *,
    kept: Annotated[
        bool, typer.Option("--kept", help="Also the failed jobs that are kept for farm shell.")
    ] = False,
    cache: Annotated[
        bool, typer.Option("--cache", help="Also the wheels that are kept to be taken again.")
    ] = False,
) -> None:
    """Remove what runs that were killed left on the engine.

    What a living run uses stays, on whatever machine its farm is. Says what else is kept, and how
    much that is.
    """
    from farm.engine.connection import connect
    from farm.engine.leftovers import look, reap, release
    from farm.report.words import plural, size
    from farm.runs.cache import user_cache

    with connect() as client:
        left = reap(client)
        for run in sorted(left.dead):
            typer.echo(f"removed what run {run} had left")
        jobs = plural(len(left.kept), "failed job")
        if kept and left.kept:
            release(client, left.kept)
            typer.echo(f"removed {jobs}: {size(sum(each.bytes for each in left.kept))}")
        else:
            held = sum(each.bytes for each in look(client).kept)
            typer.echo(f"{jobs} kept for farm shell: {size(held)}; --kept removes them")
    wheels = user_cache()
    count, held = wheels.size()
    if cache:
        wheels.clear()
        typer.echo(f"removed {plural(count, 'wheel')} from the cache: {size(held)}")
    else:
        typer.echo(f"{plural(count, 'wheel')} in the cache: {size(held)}; --cache removes them")
