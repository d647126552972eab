"""The command `python -m analysis.published`: tests claims about a published table."""

import argparse
import sys
from collections.abc import Sequence

from analysis.published.command import EXAMPLE, add_options, print_published
from analysis.rendering.render import FORMATS
from fairsweep.command_line import run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Test the claims on the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis.published",
        description="The same as `python -m analysis published`.",
        epilog=EXAMPLE,
    )
    add_options(parser, tuple(FORMATS))
    options = parser.parse_args(argv)

    def command() -> int:
        print_published(options)
        return 0

    return run_command("analysis", command)


if __name__ == "__main__":
    sys.exit(main())
