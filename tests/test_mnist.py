"""Real data: the goals on MNIST. Skipped where the archives are not at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

MNIST = Path(__file__).parents[2] / "shared" / "data" / "mnist"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not MNIST.is_dir(), reason="the MNIST archives are not in shared/data/mnist"
    ),
]

EPOCHS = 6
ROTATION = "rotate:40"
STREAM = 4000  # labelled samples the board sees
LEARNING_RATE = 0.005


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, tuple[Path, dict]]:
    """cnn5 trained from scratch by `full` and by `tinypropv2`."""
    from tf_odl.trainer import finetune
    from tf_odl.trainer.settings import Settings

    folder = tmp_path_factory.mktemp("mnist")
    results = {}
    for method in ("full", "tinypropv2"):
        settings = Settings(
            model="cnn5", data="mnist", data_dir=str(MNIST), method=method, epochs=EPOCHS
        )
        finetune.start(settings, folder / method)
        results[method] = folder / method, finetune.resume(folder / method)
    return results


def test_tinypropv2_reaches_full_training_at_a_fraction_of_the_effort(runs):
    full, sparse = (runs[m][1]["result"] for m in ("full", "tinypropv2"))
    print(f"\nfull {full['accuracy']:.4f}; tinypropv2 {sparse['accuracy']:.4f}, {sparse}")
    assert full["accuracy"] >= 0.985
    assert sparse["accuracy"] >= full["accuracy"] - 0.005
    assert sparse["effort"] <= 0.15


def test_learning_in_tflm_recovers_what_float_training_recovers(runs, tmp_path):
    """A model trained on upright digits meets rotated ones, int8 in TFLM against float in Keras."""
    import keras

    from tf_odl import models, simulation
    from tf_odl.converters.export import export
    from tf_odl.converters.targets import get_target
    from tf_odl.data import load
    from tf_odl.methods import get_method

    upright = load("mnist", data_dir=MNIST)
    rotated = load("mnist", data_dir=MNIST, shift=ROTATION)
    model = models.load(runs["full"][0] / "model.keras")
    method = get_method("tinypropv2")
    export(
        model,
        upright.x_train[:300],
        target=get_target("nano33"),
        out_dir=tmp_path / "export",
        sparsifier=method.sparsifier,
        skip_rule=method.skip,
        learning_rate=LEARNING_RATE,
        test=(upright.x_test, upright.y_test),
    )
    board = simulation.simulate(tmp_path / "export", rotated, samples=STREAM)

    model.compile(
        keras.optimizers.SGD(LEARNING_RATE),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )

    def accuracy() -> float:
        return model.evaluate(rotated.x_test, rotated.y_test, 256, verbose=0)[1]

    before = accuracy()
    x, y = rotated.x_train[:STREAM], rotated.y_train[:STREAM]
    model.fit(x, y, batch_size=1, shuffle=False, verbose=0)
    after = accuracy()
    recovered = (board.accuracy_after - board.accuracy_before) / (after - before)
    print(f"\nfloat {before:.4f} -> {after:.4f}; TFLM {board.to_dict()}; recovered {recovered:.3f}")
    assert after - before > 0.1, "the shift has to cost something for the test to say anything"
    assert recovered >= 0.8
    assert np.isfinite(board.losses).all() and board.non_finite == 0
