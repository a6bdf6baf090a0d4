"""Draws how long a user waits, by contestant, as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pygal
from pygal.style import Style
from results import figures
from scenarios import CIBW, DRAWN, FARM, PLAIN, SCENARIOS, ZIG, Cell

_FONTS = "ui-sans-serif, system-ui, sans-serif"
_WIDTH, _ROW, _FRAME = 900, 56, 110
_COLOURS = {FARM: "#1f77b4", PLAIN: "#b0b0b0", CIBW: "#ff7f0e", ZIG: "#2ca02c"}


def draw(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the picture of the whole commands' medians, in seconds, as SVG to `path`."""
    projects = dict.fromkeys(r["project"] for r in records if r["contestant"] != FARM)
    rows = [
        (project, scenario)
        for project in projects
        for scenario in DRAWN
        if _seconds(records, project, scenario, FARM) is not None
    ]
    chart = pygal.HorizontalBar(
        title="Seconds until the wheels are there: medians, checks left out",
        style=Style(
            background="white",
            plot_background="white",
            font_family=_FONTS,
            title_font_size=17,
            label_font_size=13,
            major_label_font_size=13,
            value_font_size=12,
            value_label_font_size=12,
            legend_font_size=14,
            guide_stroke_color="#e4e4e4",
            major_guide_stroke_color="#e4e4e4",
            colors=tuple(_COLOURS.values()),
        ),
        js=(),
        width=_WIDTH,
        height=_FRAME + _ROW * len(rows),
        explicit_size=True,
        legend_at_bottom=True,
        legend_at_bottom_columns=len(_COLOURS),
        print_values=True,
        print_values_position="top",
        value_formatter=lambda value: f"{value:.3g}",
        disable_xml_declaration=True,
        truncate_label=-1,
        spacing=12,
    )
    chart.x_labels = [f"{p}: {SCENARIOS[s].title}" for p, s in reversed(rows)]
    for contestant in _COLOURS:
        chart.add(contestant, [_seconds(records, p, s, contestant) for p, s in reversed(rows)])
    path.write_text(f"{chart.render()}\n", encoding="utf-8")


def _seconds(
    records: Sequence[Mapping[str, Any]], project: str, scenario: str, contestant: str
) -> float | None:
    cell = Cell(scenario=scenario, contestant=contestant, figure="whole")
    times = figures(records, project, cell).values()
    return median(times) if times else None
