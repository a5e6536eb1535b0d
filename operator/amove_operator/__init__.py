"""The Amove storage operator: buckets and keys of the Amove API as Kubernetes resources."""

__version__ = "0.1.0"
