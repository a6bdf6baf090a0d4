"""`farm images`: make, list and remove the images that jobs run in."""

from __future__ import annotations

from typing import Annotated

import typer

from farm.cli import options

app = typer.Typer(
    help="The images that jobs run in: made here, from Debian's packages, without a registry.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(epilog="Example: farm images build --arch native")
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
) -> None:
    """Make the images that are missing; farm build does so by itself."""
    from farm.engine import images
    from farm.engine.connection import arch as architecture
    from farm.engine.connection import connect
    from farm.report.console import Progress, make_console
    from farm.runs.planner import select_arches

    with connect() as client:
        native = architecture(client)
        names = images.names_for(
            native, select_arches(tuple(arch or ("all",)), native), emulated=emulated
        )
        progress = Progress(make_console())
        with progress.shown():
            made = images.ensure(client, names, emit=progress, upgrade=upgrade)
    for image in made.values():
        typer.echo(image.reference)


@app.command("list", epilog="Example: farm images list --json")
def list_(*, as_json: options.Json = False) -> None:
    """List the farm's images on the engine, with the versions inside them."""
    from farm.engine import images
    from farm.engine.connection import connect
    from farm.report.json import dump
    from farm.report.text import images_text

    with connect() as client:
        found = images.existing(client)
    typer.echo(dump(found) if as_json else images_text(found))


@app.command(epilog="Example: farm images prune")
def prune() -> None:
    """Remove the farm's images that today's recipes no longer name, and no others."""
    from farm.engine import images
    from farm.engine.connection import connect
    from farm.report.console import Progress, make_console

    with connect() as client:
        removed = images.prune(client, emit=Progress(make_console()))
    for image in removed:
        typer.echo(image.reference)
