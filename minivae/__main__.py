"""``minivae``, or ``python -m minivae``: the command line, which Ctrl-C stops quietly even while it is loading."""

import signal
import sys


def main() -> int:
    """Load the command line and run it; return the exit code."""
    impatient = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if impatient:  # nothing to be kept yet, and no traceback of half an import
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from minivae.cli.main import main as run

    if impatient:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run()


if __name__ == "__main__":
    sys.exit(main())
