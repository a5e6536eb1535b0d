"""A real node for tests: kubelet, containerd, scheduler, proxy. Development only."""

from node.box import Box
from node.errors import NodeError
from node.images import Image, ensure_images
from node.machine import Machine
from node.running import Node

__all__ = ["Box", "Image", "Machine", "Node", "NodeError", "ensure_images"]
