"""Draws `docs/run.svg`: a real build of `crate/`, half way and at its end. Needs tmux.

    .venv/bin/python tools/run_picture.py

The build runs on a copy in a temporary directory, which the picture calls `~`, in a terminal of
tmux's, whose screen is read with its colours. Do it on an idle machine whose images are made.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

TOP = Path(__file__).resolve().parent.parent
PICTURE = TOP / "docs" / "run.svg"
COLUMNS, LINES = 92, 60
COMMAND = "farm build crate"

_FONTS = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace'
_THEME = TerminalTheme(
    (24, 26, 31),
    (220, 223, 228),
    [
        *((24, 26, 31), (240, 113, 120), (130, 200, 120), (229, 192, 123)),
        *((97, 175, 239), (198, 120, 221), (86, 182, 194), (220, 223, 228)),
    ],
)


def main() -> None:
    """Run the build, and write the picture of it."""
    with TemporaryDirectory(prefix="farm-picture-") as home:
        skipped = shutil.ignore_patterns(".farm", "dist", "target", "*.so", "__pycache__")
        shutil.copytree(TOP / "crate", Path(home, "crate"), ignore=skipped)
        under_way, end = (screen.replace(home, "~") for screen in watch(Path(home)))
    PICTURE.write_text(draw(under_way, end), encoding="utf-8")
    print(f"{PICTURE.relative_to(TOP)}: {PICTURE.stat().st_size / 1000:.0f} kB")


def watch(home: Path) -> tuple[str, str]:
    """Run the build in `home`; return the screen that shows most of it, and the last one."""
    done = home / "done"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    tmux = ("tmux", "-L", home.name, "-f", os.devnull)
    run = f"env -u NO_COLOR PATH={path} {COMMAND}; echo $? > {done}; sleep 60"
    size = ("-x", str(COLUMNS), "-y", str(LINES))
    subprocess.run([*tmux, "new-session", "-d", *size, "-c", home, run], check=True)
    best = ""
    try:
        while not done.exists():
            best = max(best, screen(tmux), key=told)
            time.sleep(0.5)
        if (status := done.read_text().strip()) != "0":
            raise SystemExit(f"{COMMAND} ended with status {status}:\n{screen(tmux)}")
        return best, screen(tmux)
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)


def screen(tmux: tuple[str, ...]) -> str:
    """Return what the terminal shows, with its colours."""
    argv = [*tmux, "capture-pane", "-e", "-p", "-J"]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def told(screen: str) -> tuple[int, int]:
    """Return how much a screen tells: the phases in it, and how near it is to half way."""
    lines = Text.from_ansi(screen).plain.splitlines()
    phases = Counter(
        found[1]
        for line in lines
        if (found := re.match(r"cp\S+ +(\w+) +(?:3\.\S+ +)?(?:\d|$)", line))
    )
    return len(phases), -abs(phases["built"] - phases["waiting"])


def draw(under_way: str, end: str) -> str:
    """Return the picture of two screens, one above the other, as SVG."""
    console = Console(
        record=True,
        width=COLUMNS,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
    )
    prompt = Text.assemble(("$ ", "green"), (COMMAND, "bold"))
    for part in (prompt, lines(under_way), Text("⋮", style="dim"), lines(end), Text()):
        console.print(part, soft_wrap=True)
    return console.export_svg(title=COMMAND, theme=_THEME, code_format=code_format())


def lines(screen: str) -> Text:
    """Return a screen as text, without what is blank at its right and its end."""
    text = Text("\n").join(Text.from_ansi(line) for line in screen.rstrip().splitlines())
    for line in (split := text.split()):
        line.rstrip()
    return Text("\n").join(split)


def code_format() -> str:
    """Return rich's frame of an SVG with the fonts that the reader has; it loads none."""
    own = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return own.replace("Fira Code, monospace", _FONTS).replace("Fira Code", "monospace")


if __name__ == "__main__":
    main()
