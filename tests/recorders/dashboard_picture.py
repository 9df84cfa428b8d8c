"""A picture of a dashboard: its panels where Grafana has them, with what their queries gave.

`python -m tests.recorders.dashboard_picture` draws docs/dashboard.png again from bench/dashboard.json.
"""

# pyright: reportUnknownMemberType=false
# matplotlib's own types say `**kwargs` without a type in most of its methods.

import json
from collections.abc import Sequence
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from local.paths import CHECKOUT

COLUMNS = 24
"""Of Grafana's grid."""

FIGURES = CHECKOUT / "bench" / "dashboard.json"
PICTURE = CHECKOUT / "docs" / "dashboard.png"
UNITS = {"s": "seconds", "bytes": "bytes", "reqps": "a second", "percentunit": "share"}
"""What Grafana's units mean; others say nothing more than the title."""

INCHES_OF_A_COLUMN, INCHES_OF_A_ROW = 0.7, 0.32
DOTS_PER_INCH = 80


def write(panels: Sequence[dict[str, Any]]) -> None:
    """Write FIGURES, a panel a line."""
    lines = ",\n".join(map(json.dumps, panels))
    FIGURES.write_text(f"[\n{lines}\n]\n")


def draw(panels: Sequence[dict[str, Any]]) -> None:
    """Draw PICTURE of panels with `type`, `title`, `unit`, `gridPos` and `series`: names, and [seconds, value] each."""
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = plt.figure(figsize=(COLUMNS * INCHES_OF_A_COLUMN, rows * INCHES_OF_A_ROW))
    for panel in panels:
        place = panel["gridPos"]
        left, top = place["x"] / COLUMNS, 1 - place["y"] / rows
        width, height = place["w"] / COLUMNS, place["h"] / rows
        if panel["type"] == "row":
            figure.text(left + 0.01, top - height * 0.8, panel["title"], fontsize=13, fontweight="bold")
        else:
            _graph(figure.add_axes((left + 0.03, top - height * 0.84, width - 0.04, height * 0.66)), panel)
    figure.savefig(PICTURE, dpi=DOTS_PER_INCH)


def _graph(axes: Axes, panel: dict[str, Any]) -> None:
    unit = UNITS.get(panel["unit"])
    axes.set_title(f"{panel['title']} ({unit})" if unit else panel["title"], fontsize=9)
    for series in panel["series"]:
        minutes = [at / 60 for at, _ in series["values"]]
        axes.plot(minutes, [value for _, value in series["values"]], label=series["name"], linewidth=1)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=7)
    axes.grid(alpha=0.3)
    if panel["series"]:
        axes.legend(fontsize=7, loc="upper left")
    else:
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", fontsize=8)


if __name__ == "__main__":
    draw(json.loads(FIGURES.read_text()))
