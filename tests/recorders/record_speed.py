"""Writes the tables of docs/speed.md again, from bench/gpu/rows.json and from what the plan predicts.

    python -m tests.recorders.record_speed

Needs neither GPUs nor a cluster.
"""

from bench.gpu.tables import PAGE, page


def main() -> None:
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
