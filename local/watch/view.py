"""How the figures of a stack look in a terminal."""

from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from local.watch.figures import Figures
from local.watch.sources import Failure

UNKNOWN = "-"
BAR_WIDTH = 30


def view(title: str, found: Figures, failure: Failure | None) -> Panel:
    """Return one look at a stack, a line for each thing that one wants to know."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    table.add_row("state", Text(found.state, style="green" if found.state == "serves" else "bold red"))
    door = "" if found.at_the_door is None else f", {found.at_the_door:.0f} at the proxies"
    table.add_row("requests", f"{_number(found.running)} running, {_number(found.waiting)} waiting{door}")
    table.add_row("answers", f"{_number(found.answers, 2)} a second")
    table.add_row("tokens", f"{_number(found.generated)} generated and {_number(found.of_prompts)} of prompts a second")
    table.add_row("first token", f"after {_number(found.first_token_seconds, 2)} s")
    table.add_row("KV cache", _bar(found.kv_cache))
    table.add_row("ends of vLLM", ", ".join(f"{kind} {count:.0f}" for kind, count in found.ends.items()) or "none")
    table.add_row("last failure", Text(f"{failure.at}: {failure.reason}" if failure else "none within the hour"))
    return Panel(table, title=title, title_align="left")


def _number(value: float | None, places: int = 0) -> str:
    return UNKNOWN if value is None else f"{value:,.{places}f}"


def _bar(share: float | None) -> Table | str:
    if share is None:
        return UNKNOWN
    row = Table.grid(padding=(0, 1))
    row.add_row(ProgressBar(total=1.0, completed=share, width=BAR_WIDTH), f"{share:.0%} full")
    return row
