"""All that a release has, made by one command and published by none."""
