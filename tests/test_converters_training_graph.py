"""The training graph, read from the file and compared with docs/training-graph.md."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from build_graph import build_training_graph, every_neuron
from converter_models import MODELS, Export, make
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_odl.contract import Flags
from tf_odl.converters.flatbuffer import FlatModel
from tf_odl.converters.options import LayerOptions, PoolOptions, SeedOptions, XentOptions
from tf_odl.errors import UserError
from tf_odl.methods import Mask
from tf_odl.methods.meprop import MeProp
from tf_odl.methods.tinyprop import TinyProp
from tf_odl.methods.tinypropv2 import TinyPropV2

L = keras.layers
FORWARD = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
OWN = {kind: f"TFODL_{kind}" for kind in FORWARD}


def blob(op: Any) -> bytes:
    return bytes(bytearray(op.customOptions))


def names(flat: FlatModel) -> list[str]:
    return [flat.op_name(op) for op in flat.operators]


def of_kind(flat: FlatModel, kind: str) -> list[Any]:
    return [op for op in flat.operators if flat.op_name(op) == kind]


def backward(flat: FlatModel) -> list[Any]:
    return [op for op in flat.operators if flat.op_name(op).endswith("_BWD")]


def layer_options(flat: FlatModel) -> list[LayerOptions]:
    """Of the weighted backward ops, from the output down."""
    ops = [op for op in backward(flat) if "POOL" not in flat.op_name(op)]
    return [LayerOptions.unpack(blob(op)) for op in ops]


def buffer_of(flat: FlatModel, tensor: int) -> int:
    return flat.tensors[tensor].buffer


@pytest.fixture(scope="module", params=MODELS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Export:
    return Export(make(request.param), tmp_path_factory.mktemp("graph") / "export")


@pytest.fixture(scope="module")
def cnn(tmp_path_factory: pytest.TempPathFactory) -> Export:
    return Export(make("cnn"), tmp_path_factory.mktemp("graph") / "export")


def sites(export: Export) -> dict[str, int]:
    """The neurons of every layer, in the order of the forward pass."""
    return {layer["name"]: layer["neurons"] for layer in export.report.export["layers"]}


def rebuilt(export: Export, masks: dict[str, Mask] | None = None, **settings: Any) -> FlatModel:
    """Another training graph of the same int8 model."""
    given: dict[str, Any] = {"learning_rate": 0.01, "seed": 0}
    layers = sites(export)
    if masks is None:
        masks = every_neuron(layers)
    return FlatModel(build_training_graph(export.int8, list(layers), masks, **given | settings))


# -- order, inputs and outputs --------------------------------------------------------------


def test_seed_first_then_the_plain_model_then_loss_and_backward_ops(exported: Export) -> None:
    graph, plain = exported.graph, exported.plain
    kinds = names(graph)
    forward = len(plain.operators)
    assert kinds[0] == "TFODL_SEED"
    assert kinds[1 : 1 + forward] == [OWN.get(kind, kind) for kind in names(plain)]
    assert kinds[1 + forward] == "TFODL_SOFTMAX_XENT"
    assert kinds[2 + forward :] and all(k.endswith("_BWD") for k in kinds[2 + forward :])
    for mine, theirs in zip(graph.operators[1 : 1 + forward], plain.operators, strict=True):
        assert graph.name(int(mine.outputs[0])) == plain.name(int(theirs.outputs[0]))
        assert [graph.name(int(i)) for i in mine.inputs] == [
            plain.name(int(i)) for i in theirs.inputs
        ]
        if plain.op_name(theirs) not in OWN:
            assert _settings(mine) == _settings(theirs)


def _settings(op: Any) -> dict[str, Any]:
    return (
        {} if op.builtinOptions is None else {k: str(v) for k, v in vars(op.builtinOptions).items()}
    )


def test_inputs_and_outputs_are_those_of_the_contract(exported: Export) -> None:
    graph, plain = exported.graph, exported.plain
    x, label = graph.inputs
    y, report = graph.outputs
    for ours, theirs in ((x, plain.inputs[0]), (y, plain.outputs[0])):
        assert graph.shape(ours) == plain.shape(theirs) and graph.dtype(ours) == np.int8
        assert graph.scales(ours) == plain.scales(theirs)
        assert graph.zero_point(ours) == plain.zero_point(theirs)
    assert (graph.name(label), graph.shape(label)) == ("tfodl/label", (1,))
    assert graph.dtype(label) == np.int32
    assert (graph.name(report), graph.shape(report)) == ("tfodl/report", (6,))
    assert graph.dtype(report) == np.float32


def test_every_tensor_is_written_before_it_is_read(exported: Export) -> None:
    """And every error has one reader, which may overwrite it."""
    graph = exported.graph
    known = {-1, *graph.inputs}
    known |= {i for i in range(len(graph.tensors)) if graph.constant(i) is not None}
    known |= {i for i, tensor in enumerate(graph.tensors) if tensor.isVariable}
    written: Counter[int] = Counter()
    read: Counter[int] = Counter()
    for op in graph.operators:
        assert {int(i) for i in op.inputs} <= known, graph.op_name(op)
        written.update(int(i) for i in op.outputs)
        read.update(int(i) for i in op.inputs)
        known |= {int(i) for i in op.outputs}
    assert max(written.values()) == 1
    for index in range(len(graph.tensors)):
        if graph.name(index).endswith("/error"):
            assert (written[index], read[index]) == (1, 1), graph.name(index)
        if graph.name(index).endswith("/scratch"):
            assert (written[index], read[index]) == (1, 0), graph.name(index)
        assert written[index] or read[index], f"nobody uses {graph.name(index)}"


def test_the_error_runs_from_the_logits_to_the_lowest_layer(exported: Export) -> None:
    """Each backward op takes the error that the one before it has left."""
    graph = exported.graph
    (xent,) = of_kind(graph, "TFODL_SOFTMAX_XENT")
    logits, label, state = (int(i) for i in xent.inputs)
    assert label == graph.inputs[1] and graph.name(state) == "tfodl/state"
    softmaxes = of_kind(graph, "SOFTMAX")
    assert logits == (softmaxes[0].inputs[0] if softmaxes else graph.outputs[0])
    error = int(xent.outputs[0])
    assert graph.dtype(error) == np.float32 and graph.shape(error) == graph.shape(logits)
    assert XentOptions.unpack(blob(xent)).logits_scale == graph.scales(logits)[0]
    for op in backward(graph):
        assert int(op.inputs[0]) == error
        assert int(op.inputs[1]) == state
        is_last = op is backward(graph)[-1]
        if not is_last:
            error = int(op.outputs[0])
            x = int(op.inputs[2])
            if x >= 0:
                assert np.prod(graph.shape(error)) == np.prod(graph.shape(x))


# -- variables and seeds --------------------------------------------------------------------


def test_trainable_tensors_are_variables_without_a_buffer(exported: Export) -> None:
    graph, plain = exported.graph, exported.plain
    (seed,) = of_kind(graph, "TFODL_SEED")
    count = SeedOptions.unpack(blob(seed)).n_variables
    state, *rest = (int(i) for i in seed.inputs)
    variables, seeds = rest[:count], rest[count:]
    assert len(seeds) == count == 2 * len(sites(exported)) and len(seed.outputs) == 0
    flagged = {i for i, tensor in enumerate(graph.tensors) if tensor.isVariable}
    assert flagged == {state, *variables}
    for variable, source in zip(variables, seeds, strict=True):
        assert buffer_of(graph, variable) == 0
        assert graph.constant(variable) is None
        assert graph.dtype(variable) == graph.dtype(source)
        assert graph.shape(variable) == graph.shape(source)
        original = plain.find(graph.name(variable))
        assert original is not None
        np.testing.assert_array_equal(graph.constant(source), plain.constant(original))
        if graph.dtype(variable) == np.int8:
            assert graph.zero_point(variable) == 0, "TFLM fills int8 variables with it"
    assert buffer_of(graph, state) == 0 and graph.dtype(state) == np.int32
    layers = [op for op in backward(graph) if "POOL" not in graph.op_name(op)]
    assert graph.shape(state) == (16 + len(layers),)


def test_weights_are_in_the_file_once(exported: Export) -> None:
    """No constant of the training graph but the plain model's, each in one buffer."""

    def contents(flat: FlatModel) -> Counter[bytes]:
        data = [buffer.data for buffer in flat.root.buffers]
        return Counter(bytes(bytearray(d)) for d in data if d is not None and len(d))

    assert contents(exported.graph) == contents(exported.plain)


def test_frozen_weights_stay_constants(cnn: Export) -> None:
    layers = list(sites(cnn).items())
    name, neurons = layers[-1]
    graph = rebuilt(cnn, {name: Mask(np.ones(neurons, bool), np.zeros(neurons, bool))})
    assert sum(bool(t.isVariable) for t in graph.tensors) == 2
    variable = graph.find(f"{name}/kernel")
    assert variable is not None and graph.tensors[variable].isVariable
    for site, _ in layers[:-1]:
        for part in ("kernel", "bias"):
            tensor = graph.find(f"{site}/{part}")
            assert tensor is not None and graph.constant(tensor) is not None


def test_the_sentinel_tells_graphs_apart(cnn: Export) -> None:
    """A board that keeps its memory over an upload must not go on with the old weights."""

    def sentinel(**settings: Any) -> int:
        graph = rebuilt(cnn, **settings)
        return SeedOptions.unpack(blob(graph.operators[0])).sentinel

    name = list(sites(cnn))[-1]
    some = np.arange(4) < 2
    values = [
        sentinel(),
        sentinel(sparsifier=MeProp(0.3)),
        sentinel(skip_rule=TinyPropV2()),
        sentinel(masks={name: Mask(some, some)}),
        sentinel(masks={name: Mask(~some, ~some)}),
    ]
    assert len(set(values)) == len(values) and 0 not in values
    assert sentinel() == values[0]


def test_learning_rate_and_seed_are_in_the_seed_op(cnn: Export) -> None:
    def options(**settings: Any) -> SeedOptions:
        return SeedOptions.unpack(blob(rebuilt(cnn, **settings).operators[0]))

    assert options(learning_rate=0.125).learning_rate == 0.125
    seeds = [options(seed=seed).rng_seed for seed in (0, 1, 2, -1, 2**40)]
    assert len(set(seeds)) == 5 and 0 not in seeds
    assert options(seed=1).rng_seed == seeds[1]


# -- the backward ops -----------------------------------------------------------------------


def test_options_and_tensors_of_backward_ops_follow_their_forward_ops(exported: Export) -> None:
    """Geometry from shapes, quantization from the tensors, inputs as the contract lists them."""
    graph, plain = exported.graph, exported.plain
    pairs = list(zip(graph.operators[1:], plain.operators, strict=False))
    forward = [(op, given) for op, given in pairs if plain.op_name(given) in FORWARD]
    ops = [op for op in backward(graph) if "POOL" not in graph.op_name(op)]
    layers = zip(ops, forward[: -len(ops) - 1 : -1], strict=True)
    for index, (op, (own, source)) in enumerate(layers):
        o = LayerOptions.unpack(blob(op))
        x, kernel, bias, y = (*(int(i) for i in own.inputs), int(own.outputs[0]))
        assert o.layer == len(ops) - 1 - index, "y_max[0] is the lowest layer"
        is_last = index == len(ops) - 1
        everything = Flags.UPDATE_WEIGHTS | Flags.UPDATE_BIAS
        assert o.flags == (everything if is_last else everything | Flags.PROPAGATE)
        assert [int(i) for i in op.inputs[2:]] == [x, y, kernel, bias, -1]
        assert o.x_scale == graph.scales(x)[0] and o.x_zero_point == graph.zero_point(x)
        np.testing.assert_array_equal(np.float32(o.scales), graph.scales(kernel))
        kind = plain.op_name(source)
        depthwise = kind == "DEPTHWISE_CONV_2D"
        assert graph.op_name(op) == f"TFODL_{kind}_BWD"
        if kind == "FULLY_CONNECTED":
            assert (o.out_c, o.in_c) == graph.shape(kernel)
            ones = (o.in_h, o.in_w, o.out_h, o.out_w, o.kernel_h, o.kernel_w)
            assert {*ones, o.stride_h, o.stride_w} == {1} and o.pad_top == o.pad_left == 0
            row = 0
        else:
            assert (1, o.in_h, o.in_w, o.in_c) == graph.shape(x)
            assert (1, o.out_h, o.out_w, o.out_c) == graph.shape(y)
            assert (o.kernel_h, o.kernel_w) == graph.shape(kernel)[1:3]
            _assert_padding(source, o)
            row = o.kernel_h * o.kernel_w * (1 if depthwise else o.in_c)
        below = [] if is_last else [int(np.prod(graph.shape(x)))]
        scratch = [row] if row else []
        assert [int(np.prod(graph.shape(int(i)))) for i in op.outputs] == below + scratch
        fused = source.builtinOptions.fusedActivationFunction
        assert (o.act_min > -129) == (fused in (1, 3)), "RELU and RELU6 bound from below"
        if o.act_min > -129:
            assert o.act_min == graph.zero_point(y)
        assert o.mask is None and o.sparsifier == 0


def _assert_padding(source: Any, o: LayerOptions) -> None:
    """TensorFlow's "same" padding: half of what is missing comes first."""
    options = source.builtinOptions
    assert (o.stride_h, o.stride_w) == (options.strideH, options.strideW)
    for size, out, kernel, stride, pad in (
        (o.in_h, o.out_h, o.kernel_h, o.stride_h, o.pad_top),
        (o.in_w, o.out_w, o.kernel_w, o.stride_w, o.pad_left),
    ):
        if options.padding == 1:  # VALID
            assert pad == 0 and out == (size - kernel) // stride + 1
        else:
            assert out == -(-size // stride)
            assert pad == max((out - 1) * stride + kernel - size, 0) // 2


def test_a_relu6_bounds_the_range_on_both_sides(cnn: Export) -> None:
    lowest = layer_options(cnn.graph)[-1]
    conv = of_kind(cnn.graph, "TFODL_CONV_2D")[0]
    y = int(conv.outputs[0])
    scale, zero_point = float(cnn.graph.scales(y)[0]), cnn.graph.zero_point(y)
    assert lowest.act_min == zero_point
    # 6 may lie beyond int8, then nothing is cut off at the upper end.
    assert lowest.act_max == min(128, zero_point + int(np.floor(6 / scale + 0.5)))


def test_pools_know_their_window(tmp_path: Path) -> None:
    layers = [keras.Input((9, 7, 2)), L.Conv2D(3, 2), L.MaxPooling2D((3, 2), (2, 1), "same")]
    layers += [L.AveragePooling2D((2, 3)), L.Conv2D(4, 1), L.GlobalAveragePooling2D(), L.Dense(3)]
    graph = Export(keras.Sequential(layers), tmp_path / "export").graph
    pools = [op for op in backward(graph) if "POOL" in graph.op_name(op)]
    assert [graph.op_name(op).split("_")[1] for op in pools] == ["AVERAGE", "AVERAGE", "MAX"]
    whole, average, largest = (PoolOptions.unpack(blob(op)) for op in pools)
    # Maps: 9x7 -> conv 8x6 -> 4x6 -> 2x2.
    assert whole == PoolOptions(2, 2, 4, 1, 1, 2, 2, 1, 1, 0, 0, -129, 128)
    assert average == PoolOptions(4, 6, 3, 2, 2, 2, 3, 2, 3, 0, 0, -129, 128)
    # Height: 4 windows of 3 with stride 2 need 9 rows of 8: the missing one comes last.
    assert largest == PoolOptions(8, 6, 3, 4, 6, 3, 2, 2, 1, 0, 0, -129, 128)
    assert [int(op.inputs[2]) >= 0 for op in pools] == [False, False, True]


@pytest.mark.parametrize("trained", [1, 2, 3, 4])
def test_frozen_layers_have_no_backward_op(cnn: Export, trained: int) -> None:
    """The error stops at the lowest layer that trains, whatever lies below."""
    layers = dict(list(sites(cnn).items())[-trained:])
    graph = rebuilt(cnn, every_neuron(layers))
    kinds = [
        n.removeprefix("TFODL_").removesuffix("_BWD") for n in map(graph.op_name, backward(graph))
    ]
    everything = ["FULLY_CONNECTED", "FULLY_CONNECTED", "MAX_POOL_2D", "CONV_2D", "CONV_2D"]
    assert kinds == everything[: {1: 1, 2: 2, 3: 4, 4: 5}[trained]]
    assert [bool(o.flags & Flags.PROPAGATE) for o in layer_options(graph)] == (
        [True] * (trained - 1) + [False]
    )
    assert len(of_kind(graph, "TFODL_SEED")[0].inputs) == 1 + 2 * (2 * trained)
    errors = [i for i in range(len(graph.tensors)) if graph.name(i).endswith("/error")]
    assert len(errors) == len(kinds)


def test_a_frozen_layer_in_between_only_hands_the_error_on(cnn: Export) -> None:
    layers = sites(cnn)
    low, between, *_, top = layers
    graph = rebuilt(cnn, every_neuron({name: layers[name] for name in (low, top)}))
    options = layer_options(graph)
    assert [o.flags for o in options[1:3]] == [Flags.PROPAGATE, Flags.PROPAGATE]
    frozen = of_kind(graph, "TFODL_CONV_2D_BWD")[0]
    x, _, kernel, bias, _ = (int(i) for i in frozen.inputs[2:])
    assert (x, bias) == (-1, -1), "neither the input nor the bias is needed"
    assert graph.name(kernel) == f"{between}/kernel" and len(frozen.outputs) == 1


@pytest.mark.parametrize(
    ("kernel", "bias", "flags"),
    [
        ([1, 1, 1, 1], [1, 1, 1, 1], Flags.UPDATE_WEIGHTS | Flags.UPDATE_BIAS),
        ([0, 0, 0, 0], [1, 1, 1, 1], Flags.UPDATE_BIAS),
        ([1, 0, 0, 1], [0, 0, 0, 0], Flags.UPDATE_WEIGHTS | Flags.MASKED),
        ([0, 0, 0, 0], [0, 1, 1, 0], Flags.UPDATE_BIAS | Flags.MASKED),
    ],
)
def test_masks_choose_flags_and_inputs(
    cnn: Export, kernel: list[int], bias: list[int], flags: Flags
) -> None:
    name = list(sites(cnn))[-1]
    graph = rebuilt(cnn, {name: Mask(np.array(kernel, bool), np.array(bias, bool))})
    (op,) = backward(graph)
    (o,) = layer_options(graph)
    assert o.flags == flags
    expected = tuple(bool(a or b) for a, b in zip(kernel, bias, strict=True))
    assert o.mask == (expected if flags & Flags.MASKED else None)
    x, y, weights, biases, _ = (int(i) >= 0 for i in op.inputs[2:])
    assert x == weights == any(kernel) and biases == any(bias) and y
    count = SeedOptions.unpack(blob(graph.operators[0])).n_variables
    assert count == any(kernel) + any(bias)


def test_masks_that_no_op_can_follow_are_refused(cnn: Export) -> None:
    name = list(sites(cnn))[-1]
    one, other, none = np.arange(4) < 2, np.arange(4) > 1, np.zeros(4, bool)
    for mask, message in (
        (Mask(one, other), f"'{name}': the masks of the weights and of the bias choose different"),
        (Mask(np.ones(3, bool), np.ones(3, bool)), rf"'{name}' has the shape \[3\].* 4 neurons"),
        (Mask(none, none), "every mask is empty"),
        (Mask(one, one, inputs=np.ones(2, bool)), f"'{name}': the mask chooses input channels"),
    ):
        with pytest.raises(UserError, match=message):
            rebuilt(cnn, {name: mask})


def test_methods_reach_the_options(cnn: Export) -> None:
    """Damping zeta^depth; the output layer stays dense unless it is asked for."""
    tinyprop = TinyProp(s_min=0.1, s_max=0.9, zeta=0.8)
    options = layer_options(rebuilt(cnn, sparsifier=tinyprop))
    assert [o.sparsifier for o in options] == [0, 2, 2, 2]
    np.testing.assert_allclose([o.damping for o in options], [1, 0.8, 0.64, 0.512], rtol=1e-6)
    np.testing.assert_allclose([o.s_min for o in options[1:]], 0.1, rtol=1e-6)
    np.testing.assert_allclose([o.s_max for o in options[1:]], 0.9, rtol=1e-6)
    whole = layer_options(rebuilt(cnn, sparsifier=replace(tinyprop, sparsify_output=True)))
    assert [o.sparsifier for o in whole] == [2, 2, 2, 2]
    options = layer_options(rebuilt(cnn, sparsifier=MeProp(0.25)))
    assert [(o.sparsifier, o.s_min) for o in options[1:]] == [(1, 0.25)] * 3
    rule = TinyPropV2(threshold=0.3)
    xent = of_kind(rebuilt(cnn, skip_rule=rule), "TFODL_SOFTMAX_XENT")[0]
    found = XentOptions.unpack(blob(xent))
    expected = np.float32([rule.d_min, rule.d_max, rule.beta, rule.threshold])
    assert found.skip_rule == 1
    np.testing.assert_array_equal(
        np.float32([found.d_min, found.d_max, found.beta, found.threshold]), expected
    )
    never = of_kind(rebuilt(cnn), "TFODL_SOFTMAX_XENT")[0]
    assert XentOptions.unpack(blob(never)).skip_rule == 0


@pytest.mark.parametrize(
    ("sparsifier", "message"),
    [
        (
            MeProp(granularity="channel"),
            "meprop with granularity=channel does not exist on a board",
        ),
        (TinyProp(granularity="channel"), "which has granularity=element"),
        (TinyProp(variant="authors"), "tinyprop with variant=authors does not exist"),
        (TinyProp(dense_bias=True), "dense_bias=true does not exist on a board"),
        (TinyProp(share_of="nonzero"), "which has share_of=entries"),
    ],
)
def test_settings_no_op_has_are_refused(
    cnn: Export, sparsifier: MeProp | TinyProp, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        rebuilt(cnn, sparsifier=sparsifier)


# -- the packed options ---------------------------------------------------------------------

F32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
U32 = st.integers(0, 2**32 - 1)
I32 = st.integers(-(2**31), 2**31 - 1)


@given(sentinel=U32, rng=U32, rate=F32, count=U32, masks=st.lists(U32, max_size=3))
def test_seed_options_are_these_bytes(
    sentinel: int, rng: int, rate: float, count: int, masks: list[int]
) -> None:
    options = SeedOptions(sentinel, rng, rate, count, len(masks), tuple(masks))
    words = [2, sentinel, rng, rate, count, len(masks), *masks]
    assert options.pack() == struct.pack(f"<IIIfII{len(masks)}I", *words)
    assert SeedOptions.unpack(options.pack()) == options


@settings(max_examples=50)
@given(data=st.data())
def test_layer_options_survive_packing(data: st.DataObject) -> None:
    out_c = data.draw(st.integers(1, 20))
    n_scales = data.draw(st.sampled_from([1, out_c]))
    masked, varies = data.draw(st.sampled_from([(False, False), (True, False), (False, True)]))
    words = [data.draw(U32) & ~(Flags.MASKED | Flags.VARIABLE_MASK)]
    words[0] |= Flags.MASKED * masked | Flags.VARIABLE_MASK * varies
    words += [data.draw(U32) for _ in range(13)]
    words[7] = out_c
    floats = [data.draw(F32) for _ in range(4)]
    ints = [data.draw(I32) for _ in range(3)]
    scales = tuple(data.draw(st.lists(F32, min_size=n_scales, max_size=n_scales)))
    mask = tuple(data.draw(st.lists(st.booleans(), min_size=out_c, max_size=out_c)))
    options = LayerOptions(
        *words,
        floats[0],
        *ints,
        2,
        *floats[1:],
        n_scales,
        scales,
        mask if masked else None,
        words[1] if varies else None,
    )
    packed = options.pack()
    expected = struct.pack(
        "<15I f 3i I 3f I", 2, *words, floats[0], *ints, 2, *floats[1:], n_scales
    )
    expected += struct.pack(f"<{n_scales}f", *scales)
    if masked:
        bits = bytearray((out_c + 7) // 8)
        for o, allowed in enumerate(mask):
            bits[o // 8] |= allowed << o % 8
        expected += bytes(bits)
    if varies:
        expected += struct.pack("<I", words[1])
    assert packed == expected
    assert LayerOptions.unpack(packed) == options
    for damaged in (packed[:-1], packed + b"\0", packed[:40], b"", b"\1" + packed[1:]):
        with pytest.raises(ValueError):
            LayerOptions.unpack(damaged)


def test_options_that_contradict_themselves_are_refused(cnn: Export) -> None:
    options = layer_options(cnn.graph)[0]
    for wrong in (
        replace(options, scales=()),
        replace(options, n_scales=3, scales=(1.0, 1.0, 1.0)),
        replace(options, mask=(True,) * 4),
        replace(options, flags=options.flags | Flags.MASKED),
        replace(options, flags=options.flags | Flags.MASKED, mask=(True,)),
    ):
        with pytest.raises(ValueError):
            wrong.pack()
