"""The documentation as a site: docs/ by MkDocs, with a copy of whatever else its pages link to."""
