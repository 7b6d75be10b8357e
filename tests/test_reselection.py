"""Masks that change at run time, and neurons chosen anew on the board."""

import numpy as np
import pytest
from test_tflm_training import CLASSES, INPUT, Exported, convolutions
from training_reference import Reference

from tf_odl.converters.reselection import Reselection
from tf_odl.converters.training_graph import build_training_graph
from tf_odl.methods import Mask, parse_budget
from tf_odl.methods.dense import Dense
from tf_odl.methods.never import Never
from tf_odl.methods.random import Random
from tf_odl.methods.tinyprop import TinyProp
from tf_odl.methods.tinypropv2 import TinyPropV2
from tf_odl.methods.velocity import Velocity
from tf_odl.tflm_port.interpreter import TrainingInterpreter, available

needs_tflm = pytest.mark.skipif(available() is not None, reason=str(available()))

INTERVAL = 3
REFERENCES = 5
STEPS = 20


@pytest.fixture(scope="module")
def exported() -> Exported:
    import keras

    keras.utils.set_random_seed(7)
    model = convolutions()
    random = np.random.default_rng(0)
    model.set_weights([w + random.normal(0, 0.1, w.shape) for w in model.get_weights()])
    return Exported(model, random.normal(size=(40, *INPUT)).astype(np.float32))


def graph(
    exported: Exported,
    selector: Random | Velocity | None,
    *,
    budget: str = "40%",
    sparsifier: object = None,
    skip_rule: object = None,
    frozen: int = 0,
    interval: int = INTERVAL,
) -> bytes:
    """A training graph with variable masks; without a selector half of the neurons at first."""
    random = np.random.default_rng(3)
    masks = {}
    for site in exported.sites[frozen:]:
        chosen = np.ones(exported.neurons[site], bool)
        if selector is None:
            chosen = random.random(len(chosen)) < 0.5
            chosen[0] = True
        masks[site] = Mask(chosen, chosen)
    reselection = None
    if selector is not None:
        reselection = Reselection(selector, parse_budget(budget), interval, REFERENCES)
    return build_training_graph(
        exported.model,
        exported.sites,
        masks,
        sparsifier=sparsifier or Dense(),
        skip_rule=skip_rule or Never(),
        learning_rate=0.05,
        seed=3,
        variable_masks=True,
        reselection=reselection,
        references=random.integers(-128, 128, (REFERENCES, *INPUT)).astype(np.int8),
    )


def stream() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(8)
    samples = random.integers(-128, 128, (STEPS, *INPUT)).astype(np.int8)
    return samples, random.integers(0, CLASSES, STEPS)


@needs_tflm
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"selector": Random()}, id="random"),
        pytest.param({"selector": Random(), "sparsifier": TinyProp(), "frozen": 2}, id="tinyprop"),
        pytest.param({"selector": Velocity()}, id="velocity"),
        pytest.param(
            {"selector": Velocity(), "skip_rule": TinyPropV2(threshold=0.7), "budget": "25%"},
            id="velocity and tinypropv2",
        ),
    ],
)
def test_every_step_equals_the_reference(exported: Exported, settings: dict) -> None:
    model = graph(exported, **settings)
    reference = Reference(model)
    reference.step(np.zeros(INPUT, np.int8), -1)
    reference.observe()
    different = set()
    with TrainingInterpreter(model) as interpreter:
        for sample, label in zip(*stream(), strict=True):
            outputs, reports = interpreter.train(sample[np.newaxis], [label])
            output, report = reference.step(sample, int(label))
            np.testing.assert_array_equal(outputs, output)
            np.testing.assert_array_equal(reports[0], report)
            reference.observe()
            for actual, wanted in zip(interpreter.variables(), reference.values(), strict=True):
                np.testing.assert_array_equal(actual, wanted)
            reference.assert_state(interpreter.state())
            masks = interpreter.masks()
            assert list(masks) == exported.sites[settings.get("frozen", 0) :]
            for actual, wanted in zip(masks.values(), reference.masks(), strict=True):
                np.testing.assert_array_equal(actual, wanted)
            different.add(interpreter.variables()[-1].tobytes())
        assert interpreter.state().reselections == STEPS // INTERVAL
    assert len(different) > 2
