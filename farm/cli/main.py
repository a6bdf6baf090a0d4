"""The command `farm`: registers the commands, and turns errors into messages and statuses."""

from __future__ import annotations

import gc
import os
import signal
from types import FrameType
from typing import Annotated, NoReturn

import typer
from typer.core import TyperGroup

import farm
from farm.cli import (
    build,
    clean,
    doctor,
    images,
    logs,
    plan,
    report,
    retry,
    runs,
    shell,
    test,
    verify,
)
from farm.model.errors import ExitCode, FarmError

_STDERR = 2
_SHOW_CURSOR = b"\x1b[?25h"
"""The live table hides it."""
_YOUNG = 50_000
"""Objects after which Python looks for garbage. What imports make stays, and looking at it every
700 objects is a twentieth of a run that builds nothing."""


class _Interrupt(KeyboardInterrupt):
    """Python notes a plain one that leaves code made from text, as dataclasses are, for unhandled.

    Although it is caught, `python -m farm` would then end by SIGINT (`run_eval_code_obj` and
    `Py_RunMain` of CPython look for that very class).
    """


class _Commands(TyperGroup):
    """The commands; what they return or raise becomes the exit status."""

    def invoke(self, ctx: typer.Context) -> NoReturn:  # type: ignore[override]
        try:
            status = super().invoke(ctx)
        except FarmError as error:
            status = _tell(error)
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            status = ExitCode.INTERRUPTED
        raise typer.Exit(int(status or 0))


def _tell(error: FarmError) -> ExitCode:
    """Print `error`, and return the status that it ends with."""
    from farm.report.console import make_console
    from farm.report.summary import show_error

    show_error(make_console(), error)
    return error.exit_code


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
app.command("test", epilog=test.EXAMPLES)(test.smoke_test)
app.command("runs", epilog=runs.EXAMPLES)(runs.runs)
app.command("report", epilog=report.EXAMPLES)(report.report)
app.command("logs", epilog=logs.EXAMPLES)(logs.logs)
app.command("shell", epilog=shell.EXAMPLES)(shell.shell)
app.command("retry", epilog=retry.EXAMPLES)(retry.retry)
app.command("verify", epilog=verify.EXAMPLES)(verify.verify)
app.command("clean", epilog=clean.EXAMPLES)(clean.clean)


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
    """Run the command line, and exit with the farm's status.

    A closed terminal and a termination are interrupts: what runs on the engine is cleaned up.
    A second Ctrl-C ends the farm at once; the next run removes what that leaves.
    """
    gc.set_threshold(_YOUNG)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _interrupt)
    app(prog_name="farm")


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    if number == signal.SIGINT:
        signal.signal(number, _end)
    else:
        signal.signal(number, signal.SIG_IGN)  # a shell and the terminal may both send it
    from farm.host.commands import terminate

    terminate()
    raise _Interrupt


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    if os.isatty(_STDERR):
        os.write(_STDERR, _SHOW_CURSOR)
    os.write(_STDERR, b"interrupted again: what is left is removed by the next run\n")
    os._exit(ExitCode.INTERRUPTED)
