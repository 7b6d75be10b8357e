"""Do the samples suit a model?"""

from __future__ import annotations

from tf_odl.errors import UserError


def need_images(model: str, shape: tuple[int, ...], smallest: int) -> None:
    """Raises UserError unless `shape` is [height, width, channels], both at least `smallest`."""
    if len(shape) != 3 or min(shape[:2]) < smallest:
        raise UserError(
            f"{model} needs images [height, width, channels] of at least {smallest}x{smallest}, "
            f"the samples have shape {shape}: use mlp5, cnn5-1d, a smaller model or your own "
            ".keras model"
        )
