"""The command `farm`: registers the commands, and turns errors into messages and statuses."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import click
import typer

import farm
from farm.cli import build, doctor, images, plan, test
from farm.model.errors import ExitCode, FarmError
from farm.report.console import make_console, show_error

app = typer.Typer(
    name="farm",
    help="A wheel farm on your own machine: manylinux_2_28 wheels of maturin projects for "
    "x86_64 and aarch64, audited and smoke-tested in clean containers.",
    epilog="Start with: farm doctor, then farm build in a maturin project.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command("build", epilog=build.EXAMPLES)(build.build)
app.command("plan", epilog=plan.EXAMPLES)(plan.plan)
app.command("doctor", epilog=doctor.EXAMPLES)(doctor.doctor)
app.add_typer(images.app, name="images")
app.command("test", epilog=test.EXAMPLES)(test.test)


def _version(asked: bool) -> None:  # noqa: FBT001 - click's callback
    if asked:
        typer.echo(f"farm {farm.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


def run() -> NoReturn:
    """Run the command line and exit with the farm's status."""
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(_status())


def _status() -> int:
    try:
        return int(app(standalone_mode=False) or 0)
    except FarmError as error:
        show_error(make_console(), error)
        return int(error.exit_code)
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except (KeyboardInterrupt, click.Abort):
        make_console().print("interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read stdout has gone, such as `farm plan | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
