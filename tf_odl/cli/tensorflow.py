"""Load TensorFlow without its announcements."""

from __future__ import annotations

import os

from tf_odl.quiet import quiet


def load_tensorflow(*, graphics: bool = False) -> None:
    """Import TensorFlow; it announces itself and the graphics cards it has not found.

    Args:
        graphics: use graphics cards. They are slower for small models, and not repeatable.
    """
    if not graphics:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    with quiet():
        import tensorflow  # noqa: F401
