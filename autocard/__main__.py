"""`python -m autocard` is the same as `autocard`."""

from autocard.cli import main

main()
