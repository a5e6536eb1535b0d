"""What can go wrong here, in words for a person."""


class DocsSiteError(Exception):
    """MkDocs could not be had, or refused the pages."""
