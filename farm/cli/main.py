"""The command `farm`: registers the commands, and turns errors into messages and statuses."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Annotated, NoReturn

import typer
from typer.core import TyperGroup

import farm
from farm.cli import build, doctor, images, plan, test
from farm.model.errors import ExitCode, FarmError
from farm.report.console import make_console, show_error



class _Commands(TyperGroup):
    """The commands; what they return or raise becomes the exit status."""

    def invoke(self, ctx: typer.Context) -> NoReturn:  # type: ignore[override]
        try:
            status = super().invoke(ctx)
        except FarmError as error:
            show_error(make_console(), error)
            status = error.exit_code
        except KeyboardInterrupt:
            make_console().print("interrupted")
            status = ExitCode.INTERRUPTED
        raise typer.Exit(int(status or 0))


app = typer.Typer(
    name="farm",
    cls=_Commands,
    help="A wheel farm on your own machine: manylinux_2_28 wheels of maturin projects for "
    "x86_64 and aarch64, audited and smoke-tested in clean containers.",
    epilog="Start with: farm doctor, then farm build in a maturin project.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("build", epilog=build.EXAMPLES)(build.build)
app.command("plan", epilog=plan.EXAMPLES)(plan.plan)
app.command("doctor", epilog=doctor.EXAMPLES)(doctor.doctor)
app.add_typer(images.app, name="images")
app.command("test", epilog=test.EXAMPLES)(test.test_)


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


def run() -> None:
    """Run the command line, and exit with the farm's status."""
    signal.signal(signal.SIGTERM, _interrupt)
    app()


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
