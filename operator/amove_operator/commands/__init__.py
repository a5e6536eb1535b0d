"""The subcommands of ``amove-operator``, one file each. Only here and in ``cli`` is printed."""
