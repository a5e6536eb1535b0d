"""What keeps a release from being made, in words for a person."""


class ReleaseError(Exception):
    """Something does not agree, or a part could not be made."""
