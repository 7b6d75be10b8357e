"""What to train on a board, by what each layer is worth to a run's own data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tf_odl.converters.fit import Fit, Plan, fit_layers
from tf_odl.converters.head import Head
from tf_odl.converters.losses import Loss
from tf_odl.converters.planner import Planner
from tf_odl.converters.targets import Target
from tf_odl.converters.update_rule import UpdateRule
from tf_odl.data import Dataset
from tf_odl.methods import Method, get_method

if TYPE_CHECKING:
    import keras

SUPPORT_SAMPLES = 200

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
    progress: Progress | None = None,
) -> Fit:
    """The layers, and windows of their neurons, to train on a board.

    With data a neuron of a Keras model is worth its Fisher information on 200 training samples;
    without, all layers are worth the same, and so are the neurons of a layer.

    Raises:
        UserError: not even the output layer fits, or the model cannot be exported.
    """
    planner = Planner(model)
    worth = {site: np.full(count, 1 / count) for site, count in planner.neurons.items()}
    if data is not None and not isinstance(model, bytes):
        fisher = _fisher(model, data)
        worth = {site: fisher.get(site, np.zeros(count)) for site, count in planner.neurons.items()}

    def plan_of(layers: Sequence[str]) -> Plan:
        return planner.plan(
            target,
            method.sparsifier,
            method.skip,
            layers=layers,
            loss=loss,
            update_rule=update_rule,
            accumulate=accumulate,
            head=head,
        )

    return fit_layers(
        worth, plan_of, planner.narrowable, milliseconds=milliseconds, progress=progress
    )


def _fisher(model: keras.Model, data: Dataset) -> dict[str, np.ndarray]:
    import keras

    from tf_odl.trainer.analysis import SupportAnalysis, support_set
    from tf_odl.trainer.model import OdlModel

    owner = OdlModel(keras.models.clone_model(model), get_method("full"))
    owner.model.set_weights(model.get_weights())
    from_logits = getattr(model.layers[-1], "activation", None) is not keras.activations.softmax
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)
    owner.compile(keras.optimizers.SGD(), loss)
    x, y = support_set(data.x_train, data.y_train, SUPPORT_SAMPLES, seed=0)
    return SupportAnalysis(owner, x, y).fisher()


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
    axis.set_ylabel("information in the layers that train (%)")
    axis.set_ylim(0, 103)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)
