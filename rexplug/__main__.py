"""`python -m rexplug` runs the command line."""

from rexplug.cli import main

main()
