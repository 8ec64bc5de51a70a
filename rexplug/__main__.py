"""`python -m rexplug` is `rexplug`."""

from rexplug.cli import main

main()
