"""Sizes of the fake sets that tests make."""

from __future__ import annotations

SIZE = {"num_images": 160, "num_seen": 20, "num_unseen": 6}
SMALL = {"num_images": 12, "num_seen": 5, "num_unseen": 3}
