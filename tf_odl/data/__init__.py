"""Data sets: built-in ones, .npz files, folders, and shifts of all of them."""

from tf_odl.data.catalogue import DATASETS
from tf_odl.data.dataset import Dataset, as_bytes
from tf_odl.data.registry import load
from tf_odl.data.standardise import standardisation, standardised_as, uneven

__all__ = [
    "DATASETS",
    "Dataset",
    "as_bytes",
    "load",
    "standardisation",
    "standardised_as",
    "uneven",
]
