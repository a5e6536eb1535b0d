"""The rules of one AmoveStorageKey. Begin at ``plan``; the protocol is docs/key-protocol.md."""
