"""`python -m mailblast`."""

from mailblast.cli import main

main()
