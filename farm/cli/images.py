"""`farm images`: make, list and remove the images that jobs run in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from farm.cli import options
from farm.cli.output import print_result

app = typer.Typer(
    help="Make, list and remove the images that jobs run in.\n\n"
    "They are made here, from Debian's packages, without a registry.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(
    epilog="""\b
Examples:
  farm images build                 for every architecture
  farm images build --arch native   for the engine's own
  farm images build --upgrade       with today's packages of Debian
  farm images build --project DIR   from the mirror that its settings name
"""
)
def build(
    *,
    arch: options.Arches = None,
    emulated: Annotated[
        bool,
        typer.Option("--emulated", help="Also those that the mode emulated needs."),
    ] = False,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Take the newest packages of the suites.")
    ] = False,
    project: Annotated[
        Path | None,
        typer.Option(
            "--project",
            metavar="DIR",
            help="A project whose settings name the archive that packages come from.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make the images that are missing.

    farm build does so by itself. Prints the name of each image on stdout.
    """
    from farm.engine import images
    from farm.engine.connection import arch as architecture
    from farm.engine.connection import connect
    from farm.report.console import Progress, make_console
    from farm.runs.planner import project_archive, select_arches

    archive = project_archive(project)
    with connect() as client:
        native = architecture(client)
        names = images.names_for(
            native, select_arches(tuple(arch or ("all",)), native), emulated=emulated
        )
        progress = Progress(make_console())
        with progress.shown():
            made = images.ensure(client, names, emit=progress, archive=archive, upgrade=upgrade)
    for image in made.values():
        print_result(image.reference)


@app.command(
    "list",
    epilog="""\b
Examples:
  farm images list
  farm images list --json | jq '.[].versions'
""",
)
def list_(*, as_json: options.Json = False) -> None:
    """List the farm's images, with what is inside.

    One line an image; --json tells every version.
    """
    from farm.engine import images
    from farm.engine.connection import connect
    from farm.report.json import dump
    from farm.report.text import images_text

    with connect() as client:
        found = images.existing(client)
    print_result(dump(found) if as_json else images_text(found))


@app.command(
    epilog="""\b
Example:
  farm images prune
"""
)
def prune() -> None:
    """Remove the farm's images that nothing needs any more.

    Those are the ones that today's recipes no longer name. Other images are left alone. Prints
    the name of each that is gone on stdout.
    """
    from farm.engine import images
    from farm.engine.connection import connect
    from farm.report.console import Progress, make_console

    with connect() as client:
        removed = images.prune(client, emit=Progress(make_console()))
    for image in removed:
        print_result(image.reference)
