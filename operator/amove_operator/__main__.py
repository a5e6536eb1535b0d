"""``python -m amove_operator``: the same command as ``amove-operator``."""

from amove_operator.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
