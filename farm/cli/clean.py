"""`farm clean`: take away what runs left."""

from __future__ import annotations

from typing import Annotated

import typer

from farm.cli.output import print_result

EXAMPLES = """\b
Examples:
  farm clean                        what runs that were killed left on the engine
  farm clean --kept                 also the jobs that are kept for farm shell
  farm clean --cache                also what builds left for the next ones, and their wheels
"""


def clean(
    *,
    kept: Annotated[
        bool, typer.Option("--kept", help="Also the jobs that are kept for farm shell.")
    ] = False,
    cache: Annotated[
        bool,
        typer.Option("--cache", help="Also what builds left for the next ones, and the wheels."),
    ] = False,
) -> None:
    """Remove what runs that were killed left on the engine.

    What a living run uses stays, on whatever machine its farm is. Says what else is kept, and how
    much that is.
    """
    from farm.engine.build_cache import drop_caches, held_caches
    from farm.engine.connection import connect
    from farm.engine.leftovers import held, reap, release
    from farm.report.words import plural, size
    from farm.runs.cache import user_cache

    with connect() as client:
        left = reap(client)
        for run in sorted(left.dead):
            print_result(f"removed what run {run} had left")
        jobs = plural(len({(each.run, each.job) for each in left.kept}), "job")
        if kept:
            release(client, left.kept)
            print_result(f"removed {jobs} kept for farm shell: {size(held(left.kept))}")
        else:
            print_result(
                f"{jobs} kept for farm shell: {size(held(left.kept))}; --kept removes them"
            )
        caches = held_caches(client)
        for each in caches:
            left_there = size(each.bytes) if each.bytes else "an unknown amount"
            print_result(f"builds of {each.title} left {left_there}")
        projects = plural(len(caches), "project")
        total = size(sum(each.bytes for each in caches))
        if cache:
            drop_caches(client, caches)
            print_result(f"removed what builds of {projects} left: {total}")
        else:
            print_result(f"builds of {projects} left {total} for the next; --cache removes it")
    wheels = user_cache()
    count, bytes_ = wheels.size()
    if cache:
        wheels.clear()
        print_result(f"removed {plural(count, 'wheel')} from the cache: {size(bytes_)}")
    else:
        print_result(f"{plural(count, 'wheel')} in the cache: {size(bytes_)}; --cache removes them")
