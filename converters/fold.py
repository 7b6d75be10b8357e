"""An equivalent model of the few layer types a microcontroller runs well.

Each pass is one rewrite of the graph that leaves the outputs as they are:

1. layers that only act in training go;
2. a separable convolution becomes a depthwise and a pointwise one;
3. one-dimensional layers become two-dimensional ones of height 1;
4. zero padding in front of a convolution becomes its "same" padding where that is equal;
5. batch normalization is folded into the layer before it, or becomes a 1x1 depthwise convolution;
6. so do Rescaling, Normalization and arithmetic with a number;
7. ReLU and ReLU6 become the activation of the layer before them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_odl.converters.fold_activations import fuse_activations
from tf_odl.converters.fold_affine import fold_affine
from tf_odl.converters.fold_batch_norm import fold_batch_normalization
from tf_odl.converters.fold_one_d import lift_one_dimensional
from tf_odl.converters.fold_padding import absorb_zero_padding
from tf_odl.converters.fold_sites import (
    add_missing_biases,
    check_sites,
    mark_sites,
    split_separable,
)
from tf_odl.converters.graph import Graph, build, trace

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Folded:
    """A model without batch normalization, and which of its layers can be trained.

    `sites` maps the name by which methods know a weighted layer (`conv1`, `sep/depthwise`) to
    the folded model's layer, in the order of the forward pass. `frozen` are the sites whose layers
    are not trainable in the original model.
    """

    model: keras.Model
    sites: dict[str, str]
    frozen: frozenset[str] = frozenset()

    @property
    def neurons(self) -> dict[str, int]:
        """How many neurons each weighted layer has."""
        return {s: self.model.get_layer(n).output.shape[-1] for s, n in self.sites.items()}


def fold(model: keras.Model) -> Folded:
    """Rewrite a Functional or Sequential model; its own layers and weights are not touched.

    The outputs agree with the original's inference outputs up to float32 rounding.

    Raises:
        UserError: the model or one of its layers has a form that cannot be exported.
    """
    graph = trace(model)
    fixed = {node.name for node in graph.nodes if not node.trainable}
    _drop_training_only(graph)
    mark_sites(graph)
    split_separable(graph)
    lift_one_dimensional(graph)
    absorb_zero_padding(graph)
    fold_batch_normalization(graph)
    fold_affine(graph)
    fuse_activations(graph)
    add_missing_biases(graph)
    check_sites(graph)
    sites = {node.site: node.name for node in graph.nodes if node.site is not None}
    frozen = frozenset(s for s in sites if s in fixed or s.rpartition("/")[0] in fixed)
    return Folded(build(graph, model.name), sites, frozen)


def _drop_training_only(graph: Graph) -> None:
    import keras

    kinds = (
        keras.layers.ActivityRegularization,
        keras.layers.AlphaDropout,
        keras.layers.Dropout,
        keras.layers.GaussianDropout,
        keras.layers.GaussianNoise,
        keras.layers.Identity,
        keras.layers.SpatialDropout1D,
        keras.layers.SpatialDropout2D,
        keras.layers.RandomBrightness,
        keras.layers.RandomContrast,
        keras.layers.RandomFlip,
        keras.layers.RandomRotation,
        keras.layers.RandomTranslation,
        keras.layers.RandomZoom,
    )
    for node in list(graph.nodes):
        if issubclass(node.kind, kinds):
            graph.bypass(node)
