"""Methods: selector x sparsifier x skip rule. Importing them does not import TensorFlow."""

from tf_odl.methods.budget import Budget, parse_budget
from tf_odl.methods.dense import Dense
from tf_odl.methods.interfaces import (
    Mask,
    Masks,
    Selector,
    SkipRule,
    Sparse,
    Sparsifier,
    WeightedLayer,
)
from tf_odl.methods.meprop import MeProp
from tf_odl.methods.never import Never
from tf_odl.methods.registry import METHODS, Method, get_method, method_from_dict
from tf_odl.methods.tinyprop import TinyProp
from tf_odl.methods.tinypropv2 import TinyPropV2

__all__ = [
    "METHODS",
    "Budget",
    "Dense",
    "Mask",
    "Masks",
    "MeProp",
    "Method",
    "Never",
    "Selector",
    "SkipRule",
    "Sparse",
    "Sparsifier",
    "TinyProp",
    "TinyPropV2",
    "WeightedLayer",
    "get_method",
    "method_from_dict",
    "parse_budget",
]
