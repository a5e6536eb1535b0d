"""The chart as one file for ``kubectl apply``, for who has no Helm."""

from install_yaml.image import Image, ImageError
from install_yaml.rendering import NAMESPACE, RELEASE, RenderError, render

__all__ = ["NAMESPACE", "RELEASE", "Image", "ImageError", "RenderError", "render"]
