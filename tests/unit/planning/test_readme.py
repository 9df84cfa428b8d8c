"""What the README shows of the planner is what it prints."""

from pathlib import Path

import pytest

from planning.__main__ import main

CHECKOUT = Path(__file__).resolve().parents[3]
SHOWN = (CHECKOUT / "README.md").read_text(encoding="utf-8").split("```console\n")[1].split("```")[0]


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    main(list(arguments))
    return capsys.readouterr().out.splitlines()


def test_the_refusal_and_the_table_are_what_the_planner_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = CHECKOUT / "Pulumi.a100-bf16.yaml"
    two = tmp_path / "Pulumi.two.yaml"
    two.write_text(stack.read_text(encoding="utf-8").replace("nodes: 4 ", "nodes: 2 "), encoding="utf-8")
    lines = [*printed(capsys, str(two)), *printed(capsys, str(stack), "--compare")]
    shown = [line for line in SHOWN.splitlines() if not line.startswith("$ ")]
    assert len(shown) == 7
    assert [line for line in shown if line not in lines] == []
