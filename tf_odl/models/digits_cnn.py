"""The demonstration's model: a small CNN that knows scikit-learn's digits upright."""

from __future__ import annotations

import keras

from tf_odl.data import load

EPOCHS = 25


def digits_cnn() -> keras.Model:
    """5.6 thousand parameters, with every kind of layer a board meets; logits at the end."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(8, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.DepthwiseConv2D(3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(10),
        ],
        name="digits_cnn",
    )


def pretrain_digits(seed: int) -> keras.Model:
    """`digits_cnn` trained on the upright digits, about 98 % right; a few seconds."""
    keras.utils.set_random_seed(seed)
    data = load("digits")
    model = digits_cnn()
    model.compile(
        "adam",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    model.fit(data.x_train, data.y_train, batch_size=32, epochs=EPOCHS, verbose=0)
    return model
