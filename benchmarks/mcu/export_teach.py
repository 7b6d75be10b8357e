"""Writes the model of the example Teach anew, when the format of training graphs changes.

python benchmarks/mcu/export_teach.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tf_odl.converters.export import export
from tf_odl.converters.header import model_header
from tf_odl.converters.sketch import ops_header
from tf_odl.converters.targets import get_target
from tf_odl.data import load
from tf_odl.methods.registry import get_method
from tf_odl.models.digits_cnn import pretrain_digits

TEACH = Path(__file__).resolve().parents[2] / "tflm_port" / "examples" / "Teach"
METHOD = "tinypropv2"
CALIBRATION_SAMPLES = 200
ARENA_BYTES = 5120  # more than planned: the example also takes a somewhat larger model


def main() -> None:
    method = get_method(METHOD)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "export"
        export(
            pretrain_digits(0),
            load("digits").x_train[:CALIBRATION_SAMPLES],
            target=get_target("nano33"),
            out_dir=out,
            sparsifier=method.sparsifier,
            skip_rule=method.skip,
            train_layers=1,
        )
        graph = (out / "model_train.tflite").read_bytes()
    header = model_header({"model_train_tflite": graph})
    TEACH.joinpath("model_data.h").write_text(header)
    TEACH.joinpath("model_ops.h").write_text(ops_header(graph, ARENA_BYTES))


if __name__ == "__main__":
    main()
