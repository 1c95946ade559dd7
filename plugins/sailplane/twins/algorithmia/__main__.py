"""`python -m sailplane.twins.algorithmia [--port N] [--host H]`, and the commands of `sailplane twin algorithmia`."""

from __future__ import annotations

import argparse
import os
import sys

from sailplane.errors import SailplaneError
from sailplane.home import Home
from sailplane.twins.algorithmia.arguments import add_arguments


def main() -> int:
    parser = argparse.ArgumentParser(prog="sailplane.twins.algorithmia", description=__doc__)
    add_arguments(parser)
    arguments = parser.parse_args()
    # What is written is for this user alone.
    os.umask(0o077)
    try:
        code: int = arguments.command(Home.find(), arguments)
    except SailplaneError as error:
        sys.stderr.write(f"sailplane: {error}\n")
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
