"""Models that branch: residual blocks, padding, concatenation, activations of their own.

In the real TensorFlow Lite Micro against the numpy reference, bit for bit, and against
TensorFlow's autodiff of the dequantized graph.
"""

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
from branching_reference import BranchingReference
from build_graph import build_training_graph, name_layers
from dequantized_gradients import Dequantized

from tf_odl.converters.backward_path import logits_of
from tf_odl.converters.error_type import ErrorType
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.quantize import quantize
from tf_odl.methods import Mask
from tf_odl.methods.meprop import MeProp
from tf_odl.methods.tinyprop import TinyProp
from tf_odl.tflm_port.interpreter import TrainingInterpreter, available

pytestmark = pytest.mark.skipif(available() is not None, reason=str(available()))

INPUT = (6, 6, 2)
CLASSES = 4
STEPS = 6
L = keras.layers


def residual() -> keras.Model:
    """ResNet's two blocks: the same size, and a projection with stride 2; ReLU behind the sum."""
    x = keras.Input(INPUT)
    h = L.Conv2D(4, 3, padding="same", activation="relu")(x)
    branch = L.Conv2D(4, 3, padding="same", activation="relu")(h)
    branch = L.Conv2D(4, 3, padding="same")(branch)
    h = L.ReLU()(L.Add()([h, branch]))
    branch = L.Conv2D(6, 3, strides=2, padding="same", activation="relu")(h)
    branch = L.Conv2D(6, 3, padding="same")(branch)
    h = L.ReLU()(L.Add()([branch, L.Conv2D(6, 1, strides=2)(h)]))
    return keras.Model(x, L.Dense(CLASSES)(L.GlobalAveragePooling2D()(h)))


def inverted() -> keras.Model:
    """MobileNetV2's block, whose sum has no activation, and a sum that is read twice."""
    x = keras.Input(INPUT)
    h = L.Conv2D(3, 3, strides=2, padding="same", activation="relu6")(x)
    for _ in range(2):
        branch = L.Conv2D(8, 1, activation="relu6")(h)
        branch = L.DepthwiseConv2D(3, padding="same", activation="relu6")(branch)
        h = L.Add()([h, L.Conv2D(3, 1)(branch)])
    return keras.Model(x, L.Dense(CLASSES)(L.Flatten()(h)))


def joined() -> keras.Model:
    """Concatenation of branches one of which is read twice, padding that nothing absorbs."""
    x = keras.Input(INPUT)
    h = L.Conv2D(4, 3, padding="same")(x)
    left = L.Conv2D(3, (1, 3), padding="same", activation="relu")(h)
    right = L.MaxPooling2D(3, strides=1, padding="same")(h)
    h = L.Concatenate()([left, h, right])
    h = L.ReLU()(L.ZeroPadding2D(((1, 2), (0, 1)))(h))
    h = L.Flatten()(L.MaxPooling2D(2)(h))
    h = L.Dense(5, activation="relu")(h)
    wide = L.Concatenate()([h, L.Dense(3)(h)])
    return keras.Model(x, L.Dense(CLASSES)(wide))


def doubled() -> keras.Model:
    """Dense layers: x + x, and a sum whose first summand trains nothing."""
    x = keras.Input((10,))
    h = L.Dense(6, activation="relu")(x)
    h = L.Add()([h, h])
    h = L.Add()([L.Dense(6)(h), h])
    return keras.Model(x, L.Dense(CLASSES)(L.Dense(5, activation="relu")(h)))


MODELS = (residual, inverted, joined, doubled)


class Exported:
    """An int8 model with every weighted layer named `layer0`, `layer1`, ..."""

    def __init__(self, build: Callable[[], keras.Model]) -> None:
        keras.utils.set_random_seed(7)
        model = build()
        random = np.random.default_rng(0)
        # The converter drops biases that are all zero.
        model.set_weights([w + random.normal(0, 0.1, w.shape) for w in model.get_weights()])
        shape = model.input_shape[1:]
        images = random.normal(size=(60, *shape)).astype(np.float32)
        flat = FlatModel(quantize(model, images))
        self.neurons = name_layers(flat)
        self.sites = list(self.neurons)
        self.model = flat.pack()
        self.samples = random.integers(-90, 91, (STEPS, *shape)).astype(np.int8)
        self.labels = random.integers(0, CLASSES, STEPS)

    @property
    def kinds(self) -> set[str]:
        flat = FlatModel(self.model)
        return {flat.op_name(op) for op in flat.operators}

    def graph(self, **settings: object) -> bytes:
        """A training graph of the layers from `lowest` on."""
        options: dict = {"learning_rate": 0.05, "seed": 3}
        lowest = settings.pop("lowest", 0)
        share = settings.pop("share", 1.0)
        random = np.random.default_rng(1)
        masks = {}
        for site in self.sites[lowest:]:
            chosen = random.random(self.neurons[site]) < share
            chosen[0] = True
            masks[site] = Mask(chosen, chosen)
        options.update(settings)
        return build_training_graph(self.model, self.sites, masks, **options)


@pytest.fixture(scope="module", params=MODELS, ids=lambda build: build.__name__)
def exported(request: pytest.FixtureRequest) -> Exported:
    return Exported(request.param)


def test_the_models_have_the_ops_they_are_for() -> None:
    """Else the tests below would show nothing."""
    expected = {
        residual: {"ADD", "MEAN"},
        inverted: {"ADD", "DEPTHWISE_CONV_2D"},
        joined: {"CONCATENATION", "PAD", "RELU"},
        doubled: {"ADD"},
    }
    for build, ops in expected.items():
        found = Exported(build).kinds
        assert ops <= found, build


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="dense"),
        pytest.param({"share": 0.5, "sparsifier": TinyProp()}, id="tinyprop"),
        pytest.param({"lowest": 1, "sparsifier": MeProp()}, id="meprop"),
        pytest.param({"lowest": 2}, id="upper layers"),
        pytest.param({"errors": ErrorType.BFLOAT16}, id="bfloat16"),
        pytest.param(
            {"errors": ErrorType.BFLOAT16, "sparsifier": MeProp(0.1)}, id="bfloat16, meprop"
        ),
    ],
)
def test_every_step_equals_the_reference(exported: Exported, settings: dict) -> None:
    model = exported.graph(**settings)
    reference = BranchingReference(model)
    before = [value.copy() for value in reference.values()]
    with TrainingInterpreter(model) as interpreter:
        for sample, label in zip(exported.samples, exported.labels, strict=True):
            outputs, reports = interpreter.train(sample[np.newaxis], [label])
            output, report = reference.step(sample, int(label))
            np.testing.assert_array_equal(outputs, output)
            np.testing.assert_array_equal(reports[0], report)
            for actual, wanted in zip(interpreter.variables(), reference.values(), strict=True):
                np.testing.assert_array_equal(actual, wanted)
            reference.assert_state(interpreter.state())
    changed = [(b != v).any() for b, v in zip(before, reference.values(), strict=True)]
    assert np.mean(changed) > 0.6, "too few variables moved: the test shows little"


def test_the_first_step_is_the_gradient_of_autodiff(exported: Exported) -> None:
    assert_first_step(exported.model, exported.graph, exported.sites, exported.samples[0], 1)


def assert_first_step(
    model: bytes,
    graph: Callable[..., bytes],
    sites: list[str],
    sample: np.ndarray,
    label: int,
    *,
    loss: Callable[[tf.Tensor], tf.Tensor] | None = None,
    start: int | None = None,
    targets: np.ndarray | None = None,
) -> None:
    """Weights and biases after one step of a training graph, against autodiff.

    A bias is counted in such small steps that its update shows the gradient to many digits. For
    each layer the learning rate is one with which its weights move by up to 60 of their own steps;
    stochastic rounding is at most one step off. `loss` is a function of the real values of the
    tensor `start`; by default it is cross-entropy of the logits.
    """
    flat = FlatModel(model)
    sample = sample[np.newaxis]
    exact = Dequantized(model, sample, logits_of(flat) if start is None else start)
    names = [f"{site}/{part}" for site in sites for part in ("kernel", "bias")]

    def cross_entropy(logits: tf.Tensor) -> tf.Tensor:
        return tf.nn.sparse_softmax_cross_entropy_with_logits([label], logits)[0]

    found = exact.gradients(loss or cross_entropy, names)
    gradients = dict(zip(names, found, strict=True))
    steps = {name: gradients[name] / _step_sizes(flat, name) for name in names}
    training = graph(learning_rate=1.0)
    seed = FlatModel(training).operators[0]
    variables = [FlatModel(training).name(int(i)) for i in seed.inputs[1 : 1 + len(names)]]
    assert sorted(variables) == sorted(names)
    with TrainingInterpreter(training) as interpreter:
        before = dict(zip(variables, interpreter.variables(), strict=True))
        for site in sites:
            largest = np.abs(steps[f"{site}/kernel"]).max()
            assert largest > 0, f"{site} has no gradient: nothing is shown"
            rate = np.float32(60 / largest)
            interpreter.reset()
            interpreter.set_learning_rate(float(rate))
            interpreter.train(sample, [label], targets=targets)
            after = dict(zip(variables, interpreter.variables(), strict=True))
            for name in (f"{site}/kernel", f"{site}/bias"):
                wanted = rate * steps[name]
                moved = before[name].astype(np.float64) - after[name]
                # Weights end at -127 and 127.
                seen = np.abs(before[name] - wanted) < 125 if "kernel" in name else wanted == wanted
                # Errors are held in 16 bits or less, of the largest one of the layer.
                tolerance = 1.01 + 0.005 * np.abs(wanted).max()
                np.testing.assert_allclose(
                    moved[seen], wanted[seen], atol=tolerance, rtol=0, err_msg=name
                )


def _step_sizes(flat: FlatModel, name: str) -> np.ndarray:
    """The real value of one unit of a weight or bias, which broadcasts over the tensor."""
    tensor = flat.find(name)
    assert tensor is not None
    scales = flat.scales(tensor).astype(np.float64)
    if len(scales) == 1:
        return scales
    shape = [1] * len(flat.shape(tensor))
    shape[flat.tensors[tensor].quantization.quantizedDimension] = -1
    return scales.reshape(shape)
