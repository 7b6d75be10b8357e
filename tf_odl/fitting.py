"""What to train on a board, by what each layer is worth to a run's own data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tf_odl.converters.error_type import ErrorType
from tf_odl.converters.fit import Fit, Plan, fit_layers
from tf_odl.converters.fold import fold
from tf_odl.converters.head import Head
from tf_odl.converters.planner import Planner
from tf_odl.converters.targets import Target
from tf_odl.converters.update_rule import UpdateRule, with_less_memory
from tf_odl.data import Dataset
from tf_odl.errors import UserError
from tf_odl.methods import Method
from tf_odl.task import Loss

if TYPE_CHECKING:
    import keras

SUPPORT_SAMPLES = 200
BATCH = 50

Progress = Callable[[str, int, int], None]


def layers_that_fit(
    model: keras.Model | bytes,
    method: Method,
    target: Target,
    data: Dataset | None,
    *,
    milliseconds: float | None = None,
    loss: Loss | None = None,
    update_rule: UpdateRule = UpdateRule.STOCHASTIC,
    accumulate: int = 1,
    head: Head = Head.INT8,
    errors: ErrorType | None = None,
    progress: Progress | None = None,
) -> Fit:
    """The layers, and windows of their neurons, to train on a board.

    A neuron of a Keras model is worth what it could take off the loss, see `gradient_worth`. Of a
    .tflite file, which has no gradients here, all layers are worth the same, and since nothing
    tells the neurons of a layer apart they train together or not.

    Args:
        data: those that will be learned, or similar ones; None for random ones.

    Raises:
        UserError: not even the output layer fits, or the model cannot be exported.
    """
    planner = Planner(model)

    def plan_of(layers: Sequence[str], rule: UpdateRule = update_rule) -> Plan:
        return planner.plan(
            target,
            method.sparsifier,
            method.skip,
            layers=layers,
            loss=loss,
            update_rule=rule,
            accumulate=accumulate,
            head=head,
            errors=errors,
        )

    worth = {site: np.full(count, 1 / count) for site, count in planner.neurons.items()}
    narrowable: set[str] = set()
    if not isinstance(model, bytes):
        plan_of(list(worth)[-1:])  # refuses a loss that does not suit the model
        worth = gradient_worth(model, data, loss)
        narrowable = planner.narrowable
    try:
        return fit_layers(worth, plan_of, narrowable, milliseconds=milliseconds, progress=progress)
    except UserError as error:
        rules = [] if milliseconds is not None else with_less_memory(update_rule, accumulate)
        for rule in rules:
            smaller = plan_of(list(worth)[-1:], rule)
            if smaller["fits"]:
                needs = smaller["training"]["arena_bytes"]
                raise UserError(
                    f"{error}. With --update-rule {rule.value} the output layer needs {needs:,} B "
                    "and fits"
                ) from None
        raise


def gradient_worth(
    model: keras.Model, data: Dataset | None, loss: Loss | None = None
) -> dict[str, np.ndarray]:
    """What each neuron of each layer could take off the loss, float64 [neurons].

    A small step of SGD at rate r in some weights lowers the loss by r times the squared norm of
    their gradient, to first order. Each neuron is worth that of its weights and its bias, as they
    are on the device: with batch normalization folded. The gradient is the mean over 200 training
    samples. Most of what makes one layer worth more than another are its shape and the weights
    behind it: random samples with random labels see that, too (docs/plan.md).

    Args:
        model: Functional or Sequential.
        data: with as many classes or targets as the model, but for `reconstruction`; None for
            normally distributed inputs, and labels or targets that have nothing to do with them.
        loss: what the device minimises; what the model ends in if None.

    Raises:
        UserError: the model cannot be exported.
    """
    import tensorflow as tf

    from tf_odl.trainer.loss import keras_loss

    folded = fold(model)
    x, wanted = _samples(model, data, loss)
    classifying = Loss.BINARY if model.output_shape[-1] == 1 else Loss.CROSS_ENTROPY
    measure = keras_loss(model, loss or classifying)
    weights = {site: folded.model.get_layer(name).weights for site, name in folded.sites.items()}
    values = [weight.value for of_site in weights.values() for weight in of_site]
    total = [np.zeros(value.shape) for value in values]
    for i in range(0, len(x), BATCH):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            outputs = folded.model(x[i : i + BATCH], training=False)
            error = measure(wanted[i : i + BATCH], outputs) * (len(outputs) / len(x))
        gradients = tape.gradient(error, values)
        total = [sum_ + np.asarray(g) for sum_, g in zip(total, gradients, strict=True)]
    squares = iter(np.square(sum_) for sum_ in total)
    return {
        site: np.sum([next(squares).reshape(-1, count).sum(0) for _ in weights[site]], axis=0)
        for site, count in folded.neurons.items()
    }


def _samples(
    model: keras.Model, data: Dataset | None, loss: Loss | None
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs [n, ...] and what the model shall answer, [n, ...]."""
    from tf_odl.trainer.analysis import support_set

    outputs = model.output_shape[1:]
    if data is not None:
        labels = data.y_train if data.classes else np.zeros(len(data.y_train))
        x, y = support_set(data.x_train, data.y_train, SUPPORT_SAMPLES, 0, labels)
    else:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(SUPPORT_SAMPLES, *model.input_shape[1:])).astype(np.float32)
        if loss is Loss.MSE:
            y = rng.normal(size=(len(x), *outputs)).astype(np.float32)
        else:
            y = rng.integers(0, max(outputs[-1], 2), len(x))
    return x, x.reshape(-1, *outputs) if loss is Loss.RECONSTRUCTION else y


def plot_fit(fit: Fit, path: Path) -> None:
    """The arena of each choice against what it is worth; the best one is marked."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axis = figure.subplots()
    sizes = [c.plan["training"]["arena_bytes"] / 1024 for c in fit.choices]
    axis.plot(sizes, [100 * c.worth for c in fit.choices], "o-", color="#1b6ca8", ms=4)
    best = fit.best
    axis.plot(best.plan["training"]["arena_bytes"] / 1024, 100 * best.worth, "o", color="#c0392b")
    axis.axvline(best.plan["target"]["arena_bytes"] / 1024, color="#c0392b", lw=1, ls="--")
    axis.set_xlabel("arena (KiB); dashed: the board's")
    axis.set_ylabel("squared gradient of what trains (%)")
    axis.set_ylim(0, 103)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)
