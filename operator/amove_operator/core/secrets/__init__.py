"""What a Secret contains, and what its annotations record about the key in it."""
