"""Training graphs of every kind of layer, loss, method and update rule, exported from small models.

`python tests/training_graphs.py FOLDER` writes them as seeds of the fuzzer.
"""

import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from graph_bytes import graph_bytes
from test_losses import autoencoder, binary, regression
from test_tflm_branching import CLASSES, Exported, doubled, inverted, joined, residual
from test_tflm_training import convolutions

from tf_odl.converters.error_type import ErrorType
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.head import Head
from tf_odl.converters.own_layers import with_own_layers
from tf_odl.converters.rate import RateSettings, Schedule
from tf_odl.converters.update_rule import UpdateRule
from tf_odl.methods.meprop import MeProp
from tf_odl.methods.tinyprop import TinyProp
from tf_odl.methods.tinypropv2 import TinyPropV2
from tf_odl.task import Loss

L = keras.layers


def small() -> keras.Model:
    """Every weighted op once, for what does not depend on shapes."""
    layers = [keras.Input((4, 4, 2)), L.Conv2D(4, 3, activation="relu")]
    layers += [L.DepthwiseConv2D(2, padding="same"), L.Flatten(), L.Dense(5, activation="relu")]
    return keras.Sequential([*layers, L.Dense(CLASSES)])


LAYERS: dict[str, Callable[[], keras.Model]] = {
    "convolutions": convolutions,
    "residual": residual,
    "inverted": inverted,
    "joined": joined,
    "doubled": doubled,
}
LOSSES: dict[Loss, Callable[[], keras.Model]] = {
    Loss.BINARY: binary,
    Loss.MSE: regression,
    Loss.RECONSTRUCTION: autoencoder,
}
TINYPROPV2 = {"sparsifier": TinyProp(), "skip_rule": TinyPropV2(threshold=0.8)}
METHODS: dict[str, dict[str, Any]] = {
    "dense": {},
    "meprop": {"sparsifier": MeProp()},
    "tinyprop": {"sparsifier": TinyProp()},
    "tinypropv2": TINYPROPV2,
    "masks": {"share": 0.4},
    "masks, tinypropv2": {"share": 0.4, **TINYPROPV2},
    "upper layers": {"lowest": 2},
}
#: How steps become int8: arguments of make_trainable.
RULES: dict[str, dict[str, Any]] = {
    "stochastic rounding": {"seed": 5},
    "huge steps": {"learning_rate": 3.0},
    "bfloat16": {"errors": ErrorType.BFLOAT16, "share": 0.6},
    "residual": {"update_rule": UpdateRule.RESIDUAL},
    "residual, huge steps": {"update_rule": UpdateRule.RESIDUAL, "learning_rate": 3.0},
    "sums": {"update_rule": UpdateRule.RESIDUAL, "accumulate": 4, "learning_rate": 0.2},
    "sums, huge steps": {
        "update_rule": UpdateRule.RESIDUAL,
        "accumulate": 3,
        "learning_rate": 3.0,
        "share": 0.6,
    },
    "sums, rounded at random": {"accumulate": 2, "share": 0.6, "learning_rate": 0.5},
    "changes": {"update_rule": UpdateRule.CHANGES, "learning_rate": 0.5},
    "changes, huge steps": {"update_rule": UpdateRule.CHANGES, "learning_rate": 3.0, "share": 0.6},
    "float head": {"update_rule": UpdateRule.RESIDUAL, "head": Head.FLOAT32, "learning_rate": 0.5},
    "float head, masks": {"head": Head.FLOAT32, "share": 0.4, "learning_rate": 3.0},
    "step schedule": {"rate": RateSettings(Schedule.STEP, 300, 0.7), "learning_rate": 0.5},
    "cosine schedule": {
        "rate": RateSettings(Schedule.COSINE, 900, warm_up=50, clip=1.1),
        "learning_rate": 0.5,
    },
}


def training_graphs() -> dict[str, bytes]:
    """.tflite files by a name that says what is in them."""
    models = {name: Exported(build) for name, build in LAYERS.items()}
    graphs = {f"layers of {name}": model.graph() for name, model in models.items()}
    for name, model in models.items():
        flat = with_own_layers(FlatModel(model.graph()))
        graphs[f"own convolutions of {name}"] = flat.pack()
        narrow = model.graph(errors=ErrorType.BFLOAT16, update_rule=UpdateRule.RESIDUAL)
        graphs[f"bfloat16 errors of {name}"] = narrow
    for loss, build in LOSSES.items():
        model = Exported(build)
        graphs[loss.value] = model.graph(loss=loss)
        skipping = model.graph(loss=loss, skip_rule=TinyPropV2(threshold=0.6))
        graphs[f"{loss.value}, tinypropv2"] = skipping
        graphs[f"{loss.value}, bfloat16"] = model.graph(loss=loss, errors=ErrorType.BFLOAT16)
    tiny = Exported(small)
    for method, settings in METHODS.items():
        graphs[method] = tiny.graph(**settings, seed=4)
    for rule, settings in RULES.items():
        graphs[rule] = tiny.graph(sparsifier=TinyProp(), **settings)
    return graphs


def write_seeds(folder: Path) -> None:
    """A file for each graph, behind the random seed that fuzz_graph.cpp expects."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, graph in enumerate(training_graphs().values()):
        seed = struct.pack("<I", number)
        (folder / f"graph{number:02}").write_bytes(seed + graph_bytes(graph))


def cpp_list(graphs: dict[str, bytes]) -> str:
    """graph_list.h of cpp/graph_steps.cpp."""
    lines = ["struct GraphBytes { const char* name; const unsigned char* data; unsigned size; };"]
    rows = []
    for number, (name, graph) in enumerate(graphs.items()):
        data = graph_bytes(graph)
        values = ",".join(map(str, data))
        lines.append(f"static const unsigned char kGraph{number}[] = {{{values}}};")
        rows.append(f'{{"{name}", kGraph{number}, {len(data)}}}')
    lines.append(f"static const GraphBytes kGraphs[] = {{{', '.join(rows)}}};")
    lines.append(f"constexpr int kGraphCount = {len(rows)};")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    write_seeds(Path(sys.argv[1]))
