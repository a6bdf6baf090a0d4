"""Draws the ratios as bars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pygal
from pygal.style import Style
from results import Seen

_FONTS = "ui-sans-serif, system-ui, sans-serif"
_ROW, _FRAME = 48, 130


def draw(seen: Sequence[Seen], path: Path) -> None:
    """Write the picture of all ratios, with their bounds, as SVG to `path`."""
    seen = [each for each in seen if each.ratio.drawn]
    titles = list(dict.fromkeys(each.ratio for each in seen))
    chart = pygal.HorizontalBar(
        title="Ratios of medians; what each may be is beside its name",
        style=Style(
            background="white",
            plot_background="white",
            font_family=_FONTS,
            value_font_size=10,
            colors=("#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd"),
        ),
        js=(),
        width=1000,
        height=_FRAME + _ROW * len(titles),
        explicit_size=True,
        legend_at_bottom=True,
        print_values=True,
        print_values_position="top",
        value_formatter=lambda value: f"{value:.2f}",
        disable_xml_declaration=True,
        truncate_label=-1,
    )
    chart.x_labels = [f"{r.title} ({r.bound})" if r.bound else r.title for r in reversed(titles)]
    for project in dict.fromkeys(each.project for each in seen):
        values = {each.ratio: round(each.value, 3) for each in seen if each.project == project}
        chart.add(project, [values.get(ratio) for ratio in reversed(titles)])
    path.write_text(f"{chart.render()}\n", encoding="utf-8")
