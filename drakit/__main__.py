"""`python -m drakit`: the same as `drakit`."""

from drakit.cli.app import main

main()
