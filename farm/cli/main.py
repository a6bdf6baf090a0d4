"""The command `farm`: registers the commands, and turns errors into messages and statuses."""

from __future__ import annotations

from typing import Annotated, Any, NoReturn

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
from farm.cli.output import print_result
from farm.model.errors import ExitCode, FarmError


class _Commands(TyperGroup):
    """The commands; what they return or raise becomes the exit status."""

    def main(self, *args: Any, **options: Any) -> Any:
        try:
            return super().main(*args, **options)
        except FarmError as error:
            raise SystemExit(_tell(error)) from error
        except Exception as error:
            from farm.host.faults import fault

            raise SystemExit(_tell(fault(error, "the command line"))) from error

    def invoke(self, ctx: typer.Context) -> NoReturn:  # type: ignore[override]
        raise typer.Exit(int(super().invoke(ctx) or 0))


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
        print_result(f"farm {farm.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass
