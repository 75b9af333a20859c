"""`python -m mailblast`."""

import sys


def run() -> None:
    """The command line.  Ctrl-C while it is still being loaded ends it in a word."""
    try:
        from mailblast.cli import main

        main()
    except KeyboardInterrupt:
        sys.stderr.write("Broken off.\n")
        sys.exit(2)


if __name__ == "__main__":
    run()
