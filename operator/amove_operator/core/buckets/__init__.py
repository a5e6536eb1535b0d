"""The rules of one AmoveBucket. Begin at ``plan``."""
