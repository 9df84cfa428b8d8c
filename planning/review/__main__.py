"""Renders a recorded preview as the comment that reviewers read; see `python -m planning.review --help`."""

import sys

from planning.review.comment import main

if __name__ == "__main__":
    sys.exit(main())
