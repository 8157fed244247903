"""The `smalt` command: `python -m smalt`."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Runs the command; answers the process's exit status."""
    from ._smalt import command

    # Python's own handler would wait for the command's end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return command(["smalt", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
