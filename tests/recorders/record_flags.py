"""Writes down the flags of the locked vLLM, and what its parser says of 2,000 spellings.

    python -m tests.recorders.record_flags [PYTHON]

It asks the dev stack's pods (`make dev` first). With PYTHON it asks that program, of an environment into which
images/ray-vllm/requirements-cpu.txt is installed with `pip install --no-deps`.
"""

import sys

from tests.serving import vllm_parser


def main() -> None:
    for path, text in vllm_parser.asked(sys.argv[1:] or vllm_parser.in_pod()).items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
