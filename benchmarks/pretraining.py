"""Float models that benchmarks begin with, each trained once by plain Keras and kept on disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import keras

    from tf_odl.data import Dataset


@dataclass(frozen=True)
class Recipe:
    """How a model is trained: the learning rate falls along a cosine, to nothing."""

    epochs: int
    optimizer: Literal["SGD", "Adam"] = "SGD"
    rate: float = 0.05
    batch: int = 32
    flip: bool = False  # images may be mirrored


def pretrained(
    name: str, data: Dataset, recipe: Recipe, seed: int, folder: Path, label: str | None = None
) -> keras.Model:
    """The model `name` trained on `data`, from the folder if it is there.

    Args:
        label: what the data is called in the name of the file; its own name by default.
    """
    from tf_odl import models

    path = folder / f"{label or data.name}-{name}-{seed}.keras"
    if not path.is_file():
        model = _trained(name, data, recipe, seed)
        folder.mkdir(parents=True, exist_ok=True)
        model.save(path)
    return models.load(path)


def _trained(name: str, data: Dataset, recipe: Recipe, seed: int) -> keras.Model:
    import keras

    from tf_odl import models
    from tf_odl.trainer.loss import gives_logits

    keras.utils.set_random_seed(seed)
    model = models.build(name, data.x_train.shape[1:], data.classes, seed)
    models.set_statistics(model, data.x_train)
    steps = recipe.epochs * -(-len(data.x_train) // recipe.batch)
    rate = keras.optimizers.schedules.CosineDecay(recipe.rate, steps)
    model.compile(
        getattr(keras.optimizers, recipe.optimizer)(rate),
        keras.losses.SparseCategoricalCrossentropy(from_logits=gives_logits(model)),
        steps_per_execution=50,
        jit_compile=False,
    )
    rng = np.random.default_rng(seed)
    for _ in range(recipe.epochs):
        x = data.x_train
        if recipe.flip:
            x = np.where(rng.random((len(x), 1, 1, 1)) < 0.5, x[:, :, ::-1], x)
        model.fit(x, data.y_train, batch_size=recipe.batch, verbose=0)
    return model
