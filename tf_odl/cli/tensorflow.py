"""Load TensorFlow without its announcements."""

from __future__ import annotations

from tf_odl.quiet import quiet


def load_tensorflow() -> None:
    """Import TensorFlow; it announces itself and the graphics cards it has not found."""
    with quiet():
        import tensorflow  # noqa: F401
