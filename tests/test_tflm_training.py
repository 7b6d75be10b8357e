"""Training graphs in the real TensorFlow Lite Micro against the numpy reference, bit for bit."""

from typing import Any

import keras
import numpy as np
import pytest
from build_graph import build_training_graph, name_layers
from training_reference import Reference

from tf_odl.converters.error_type import ErrorType
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.head import Head
from tf_odl.converters.quantize import quantize
from tf_odl.converters.rate import RateSettings, Schedule
from tf_odl.converters.reference import quantize_input
from tf_odl.converters.update_rule import UpdateRule
from tf_odl.errors import UserError
from tf_odl.methods import Mask
from tf_odl.methods.meprop import MeProp
from tf_odl.methods.tinyprop import TinyProp
from tf_odl.methods.tinypropv2 import TinyPropV2
from tf_odl.tflm_port.interpreter import TrainingInterpreter, available

pytestmark = pytest.mark.skipif(available() is not None, reason=str(available()))

INPUT = (6, 6, 2)
CLASSES = 4
STEPS = 12
BFLOAT16 = ErrorType.BFLOAT16


def convolutions() -> keras.Model:
    """Every weighted op, strides, both paddings, two activations, both pools."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input(INPUT),
            layers.Conv2D(5, 3, padding="same", activation="relu"),
            layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, activation="relu6"),
            layers.MaxPooling2D(2, strides=1),
            layers.Conv2D(6, (1, 2), strides=2),
            layers.AveragePooling2D((2, 1), strides=1, padding="same"),
            layers.Flatten(),
            layers.Dense(7, activation="relu"),
            layers.Dense(CLASSES),
        ]
    )


class Exported:
    """An int8 model and what it takes to build training graphs from it."""

    def __init__(self, model: keras.Model, images: np.ndarray) -> None:
        random = np.random.default_rng(2)
        flat = FlatModel(quantize(model, images))
        self.neurons = name_layers(flat)
        self.sites = list(self.neurons)
        self.model = flat.pack()
        self.samples = random.integers(-128, 128, (STEPS, *model.input_shape[1:])).astype(np.int8)
        self.labels = random.integers(0, CLASSES, STEPS)

    def graph(self, *, frozen: int = 0, share: float = 1.0, **how: Any) -> bytes:
        """A training graph with the lowest `frozen` layers left out, and a share of the neurons."""
        random = np.random.default_rng(1)
        masks = {}
        for site in self.sites[frozen:]:
            chosen = random.random(self.neurons[site]) < share
            chosen[0] = True
            masks[site] = Mask(chosen, chosen)
        how = {"learning_rate": 0.05, "seed": 3, **how}
        return build_training_graph(self.model, self.sites, masks, **how)


def exported_convolutions() -> Exported:
    """Of `convolutions`, fresh."""
    keras.utils.set_random_seed(7)
    model = convolutions()
    random = np.random.default_rng(0)
    # The converter drops biases that are all zero.
    model.set_weights([w + random.normal(0, 0.1, w.shape) for w in model.get_weights()])
    return Exported(model, random.normal(size=(40, *INPUT)).astype(np.float32))


@pytest.fixture(scope="module")
def exported() -> Exported:
    return exported_convolutions()


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="dense"),
        pytest.param({"share": 0.5}, id="masked"),
        pytest.param({"frozen": 3}, id="upper layers"),
        pytest.param({"frozen": 1, "sparsifier": MeProp()}, id="meprop"),
        pytest.param({"sparsifier": TinyProp(), "share": 0.8}, id="tinyprop"),
        pytest.param({"skip_rule": TinyPropV2(threshold=0.8), "frozen": 1}, id="tinypropv2"),
        pytest.param({"learning_rate": 3.0}, id="saturating"),
        pytest.param({"rate": RateSettings(Schedule.STEP, 3, 0.5)}, id="step"),
        pytest.param({"accumulate": 5}, id="sums"),
        pytest.param({"errors": BFLOAT16}, id="bfloat16"),
        pytest.param({"errors": BFLOAT16, "frozen": 3, "share": 0.5}, id="bfloat16, upper layers"),
        pytest.param(
            {"errors": BFLOAT16, "sparsifier": MeProp(0.1), "share": 0.8}, id="bfloat16, meprop"
        ),
        pytest.param(
            {
                "errors": BFLOAT16,
                "accumulate": 2,
                "sparsifier": TinyProp(0.05, 0.2, zeta=1.0),
                "skip_rule": TinyPropV2(threshold=0.8),
            },
            id="bfloat16, sums, tinypropv2",
        ),
        pytest.param({"head": Head.FLOAT32}, id="float head"),
        pytest.param({"head": Head.FLOAT32, "share": 0.5}, id="float head, masked"),
        pytest.param({"head": Head.FLOAT32, "frozen": 4, "learning_rate": 9.0}, id="head alone"),
        pytest.param(
            {
                "head": Head.FLOAT32,
                "accumulate": 2,
                "sparsifier": MeProp(0.5, sparsify_output=True),
                "skip_rule": TinyPropV2(threshold=0.8),
            },
            id="float head, all at once",
        ),
        pytest.param({"accumulate": 5, "share": 0.5, "learning_rate": 3.0}, id="masked sums"),
        pytest.param(
            {"accumulate": 2, "skip_rule": TinyPropV2(threshold=0.8), "sparsifier": TinyProp()},
            id="sums, tinypropv2",
        ),
        pytest.param({"rate": RateSettings(Schedule.COSINE, 9, warm_up=4, clip=0.8)}, id="cosine"),
    ],
)
@pytest.mark.parametrize(  # test_weight_changes.py has the third
    "rule", [UpdateRule.STOCHASTIC, UpdateRule.RESIDUAL], ids=lambda rule: rule.value
)
def test_every_step_equals_the_reference(
    exported: Exported, settings: dict, rule: UpdateRule
) -> None:
    model = exported.graph(**settings, update_rule=rule)
    reference = Reference(model)
    before = [value.copy() for value in reference.values()]
    changed = [False] * len(before)
    with TrainingInterpreter(model) as interpreter:
        for sample, label in zip(exported.samples, exported.labels, strict=True):
            outputs, reports = interpreter.train(sample[np.newaxis], [label])
            output, report = reference.step(sample, int(label))
            np.testing.assert_array_equal(outputs, output)
            np.testing.assert_array_equal(reports[0], report)
            for actual, wanted in zip(interpreter.variables(), reference.values(), strict=True):
                np.testing.assert_array_equal(actual, wanted)
            reference.assert_state(interpreter.state())
            values = zip(changed, before, reference.values(), strict=True)
            changed = [c or bool((b != v).any()) for c, b, v in values]
        state = interpreter.state()
    assert all(changed), "a variable never moved: the test shows nothing"
    if "skip_rule" in settings:
        assert state.trained and state.skipped
    if settings.get("learning_rate", 0) > 1 and settings.get("frozen", 0) < 4:
        assert state.saturated


def test_one_call_equals_single_steps(exported: Exported) -> None:
    model = exported.graph()
    progress: list[tuple[int, int]] = []
    with TrainingInterpreter(model) as one, TrainingInterpreter(model) as many:
        outputs, reports = one.train(
            exported.samples, exported.labels, lambda done, total: progress.append((done, total))
        )
        for i in range(STEPS):
            output, report = many.train(exported.samples[i : i + 1], exported.labels[i : i + 1])
            np.testing.assert_array_equal(output[0], outputs[i])
            np.testing.assert_array_equal(report[0], reports[i])
        assert one.state() == many.state()
        assert one.seconds_per_step and one.seconds_per_step < 1
    assert progress[-1] == (STEPS, STEPS)
    assert outputs.dtype == np.int8 and outputs.shape == (STEPS, CLASSES)
    assert reports.dtype == np.float32 and reports.shape == (STEPS, 6)


def test_inference_leaves_everything_as_it_is(exported: Exported) -> None:
    with TrainingInterpreter(exported.graph()) as interpreter:
        interpreter.train(exported.samples[:3], exported.labels[:3])
        state, variables = interpreter.state(), interpreter.variables()
        interpreter.infer(exported.samples)
        after = interpreter.state()
        assert (after.samples, after.trained, after.rng) == (3, 3, state.rng)
        for now, before in zip(interpreter.variables(), variables, strict=True):
            np.testing.assert_array_equal(now, before)


def test_the_forward_graph_is_the_plain_model(exported: Exported) -> None:
    with (
        TrainingInterpreter(exported.graph()) as trained,
        TrainingInterpreter(exported.model) as plain,
    ):
        assert trained.trains and not plain.trains
        np.testing.assert_array_equal(
            trained.infer(exported.samples), plain.infer(exported.samples)
        )
        assert 0 < plain.arena_used_bytes < trained.arena_used_bytes
        for refused in (plain.state, plain.variables):
            with pytest.raises(UserError, match="no training ops"):
                refused()


def test_reset_starts_again(exported: Exported) -> None:
    with TrainingInterpreter(exported.graph()) as interpreter:
        seeds, start = interpreter.variables(), interpreter.state()
        first = interpreter.train(exported.samples, exported.labels)
        interpreter.reset()
        assert interpreter.state() == start
        for now, seed in zip(interpreter.variables(), seeds, strict=True):
            np.testing.assert_array_equal(now, seed)
        second = interpreter.train(exported.samples, exported.labels)
        for now, before in zip(second, first, strict=True):
            np.testing.assert_array_equal(now, before)


def test_variables_can_be_restored(exported: Exported) -> None:
    model = exported.graph()
    with TrainingInterpreter(model) as interpreter:
        interpreter.train(exported.samples, exported.labels)
        learned, outputs = interpreter.variables(), interpreter.infer(exported.samples)
        interpreter.reset()
        assert (interpreter.infer(exported.samples) != outputs).any()
        interpreter.set_variables(learned)
        np.testing.assert_array_equal(interpreter.infer(exported.samples), outputs)
        for wrong in (learned[:-1], [v.astype(np.int64) for v in learned], learned[::-1]):
            with pytest.raises(UserError, match="do not fit"):
                interpreter.set_variables(wrong)


def test_the_learning_rate_can_be_set(exported: Exported) -> None:
    with TrainingInterpreter(exported.graph()) as interpreter:
        seeds = interpreter.variables()
        interpreter.set_learning_rate(0.0)
        assert interpreter.state().learning_rate == 0
        interpreter.train(exported.samples, exported.labels)
        for now, seed in zip(interpreter.variables(), seeds, strict=True):
            np.testing.assert_array_equal(now, seed)
        for wrong in (-0.1, float("nan"), float("inf")):
            with pytest.raises(UserError, match="learning rate"):
                interpreter.set_learning_rate(wrong)


def test_wrong_samples_and_labels_are_refused(exported: Exported) -> None:
    samples, labels = exported.samples, exported.labels
    with TrainingInterpreter(exported.graph()) as interpreter:
        for wrong in (samples.astype(np.float32), samples[:, :-1], samples[0]):
            with pytest.raises(UserError, match="expected int8 samples"):
                interpreter.infer(wrong)
        for wrong_labels in (labels[:-1], labels.astype(float), labels[:, np.newaxis]):
            with pytest.raises(UserError, match="integer labels"):
                interpreter.train(samples, wrong_labels)
        with pytest.raises(UserError, match="not one of the model's 4 classes"):
            interpreter.train(samples, np.full(STEPS, CLASSES))
        assert interpreter.state().samples == 0
        outputs, reports = interpreter.train(samples[:0], labels[:0])
        assert outputs.shape == (0, CLASSES) and reports.shape == (0, 6)


def test_noisy_patterns_are_learned(exported: Exported) -> None:
    """The whole graph trains. The frozen range of the logits bounds the loss from below."""
    random = np.random.default_rng(5)
    patterns = random.integers(-90, 90, (CLASSES, *INPUT))
    labels = random.integers(0, CLASSES, 200)
    samples = (patterns[labels] + random.integers(-30, 30, (200, *INPUT))).astype(np.int8)
    with TrainingInterpreter(exported.graph(learning_rate=0.02)) as interpreter:
        before = (interpreter.infer(samples).argmax(1) == labels).mean()
        losses = [interpreter.train(samples, labels)[1][:, 0].mean() for _ in range(6)]
        after = (interpreter.infer(samples).argmax(1) == labels).mean()
    assert before < 0.5 and after > 0.95
    assert losses[-1] < losses[0] - 0.3


def test_a_trained_model_learns_as_in_float() -> None:
    """Four patterns change their labels: the loss of every pass is that of SGD in Keras.

    The float model has learned the old labels first, so the logits are calibrated to a range in
    which the new labels can be learned.
    """
    random = np.random.default_rng(5)
    patterns = random.normal(size=(CLASSES, *INPUT))
    labels = random.integers(0, CLASSES, 200)
    images = (patterns[labels] + random.normal(0, 0.3, (200, *INPUT))).astype(np.float32)
    keras.utils.set_random_seed(1)
    model = convolutions()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.02), loss)
    one_by_one = {"batch_size": 1, "shuffle": False, "verbose": 0}
    model.fit(images, (labels + 1) % CLASSES, epochs=3, **one_by_one)
    exported = Exported(model, images)

    rate, passes, seeds = 0.002, 4, 9
    model.compile(keras.optimizers.SGD(rate), loss)
    in_float = model.fit(images, labels, epochs=passes, **one_by_one).history["loss"]
    samples = quantize_input(exported.model, images)
    losses = np.zeros((seeds, passes))
    for seed in range(seeds):
        graph = exported.graph(learning_rate=rate, seed=seed)
        with TrainingInterpreter(graph) as interpreter:
            before = (interpreter.infer(samples).argmax(1) == labels).mean()
            for i in range(passes):
                losses[seed, i] = interpreter.train(samples, labels)[1][:, 0].mean()
            after = (interpreter.infer(samples).argmax(1) == labels).mean()
        assert before < 0.1 and after > 0.95
        assert losses[seed, -1] < 0.1 * losses[seed, 0]
    # One seed scatters as much as the tolerance.
    np.testing.assert_allclose(np.median(losses, 0), in_float, rtol=0.1, atol=0.02)
