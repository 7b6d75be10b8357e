"""The device half of the methods: the option fields that make the training ops run them."""

from __future__ import annotations

from dataclasses import dataclass

from tf_odl.converters.options import LossOptions, SkipRuleCode, SparsifierCode, XentOptions
from tf_odl.errors import UserError
from tf_odl.methods import Dense, MeProp, Never, SkipRule, Sparsifier, TinyProp, TinyPropV2


@dataclass(frozen=True)
class SparsifierFields:
    """LayerOptions.sparsifier, s_min, s_max and damping."""

    code: SparsifierCode
    s_min: float = 1.0
    s_max: float = 1.0
    damping: float = 1.0


def sparsifier_fields(sparsifier: Sparsifier, depth: int) -> SparsifierFields:
    """The fields of a layer `depth` weighted layers below the output layer (0: the output layer).

    Raises:
        UserError: a sparsifier the training ops do not have.
    """
    dense = SparsifierFields(SparsifierCode.DENSE)
    if isinstance(sparsifier, Dense):
        return dense
    if not isinstance(sparsifier, (MeProp, TinyProp)):
        raise UserError(
            f"the sparsifier {sparsifier.name!r} does not exist on a board; "
            "choose dense, meprop or tinyprop"
        )
    for setting, device in (
        ("granularity", "element"),
        ("variant", "paper"),
        ("dense_bias", False),
        ("share_of", "entries"),
    ):
        value = getattr(sparsifier, setting, device)
        if value != device:
            raise UserError(
                f"{sparsifier.name} with {setting}={str(value).lower()} does not exist on a board, "
                f"which has {setting}={str(device).lower()}"
            )
    if depth == 0 and not sparsifier.sparsify_output:
        return dense
    if isinstance(sparsifier, MeProp):
        return SparsifierFields(SparsifierCode.MEPROP, sparsifier.ratio, sparsifier.ratio)
    return SparsifierFields(
        SparsifierCode.TINYPROP, sparsifier.s_min, sparsifier.s_max, sparsifier.zeta**depth
    )


def xent_options(skip_rule: SkipRule, logits_scale: float) -> XentOptions:
    """The options of the loss op, which also decides whether a sample trains.

    Raises:
        UserError: a skip rule the training ops do not have.
    """
    if isinstance(skip_rule, Never):
        return XentOptions(logits_scale, SkipRuleCode.NEVER, 0.0, 1.0, 1.0, 0.0)
    if isinstance(skip_rule, TinyPropV2):
        return XentOptions(
            logits_scale,
            SkipRuleCode.TINYPROPV2,
            skip_rule.d_min,
            skip_rule.d_max,
            skip_rule.beta,
            skip_rule.threshold,
        )
    raise UserError(
        f"the skip rule {skip_rule.name!r} does not exist on a board; choose never or tinypropv2"
    )


def loss_options(
    skip_rule: SkipRule, output: tuple[float, int], target: tuple[float, int] = (1.0, 0)
) -> LossOptions:
    """The options of the other loss ops. `output` and `target` are (scale, zero point).

    Raises:
        UserError: a skip rule the training ops do not have.
    """
    o = xent_options(skip_rule, output[0])
    decision = (o.skip_rule, o.d_min, o.d_max, o.beta, o.threshold)
    return LossOptions(*output, *target, *decision)
