"""The host library: the C++ sources of the training ops, compiled for this machine."""

import ctypes
import functools
import importlib.machinery
from pathlib import Path

from tf_odl.errors import UserError

FOLDER = Path(__file__).resolve().parent
REGISTERER = "TfOdlRegisterOps"


def library_path() -> Path | None:
    """The compiled host library, or None when the installation could not build it."""
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = FOLDER / f"_host{suffix}"
        if path.is_file():
            return path
    return None


@functools.cache
def load() -> ctypes.CDLL:
    """Load the host library so that the wheel can look up REGISTERER in it.

    Raises:
        UserError: the library was not built or cannot be loaded.
    """
    path = library_path()
    if path is None:
        raise UserError(
            "the C++ training ops were not compiled during installation; "
            "install a C++ compiler and install tf-odl again"
        )
    try:
        library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        raise UserError(f"cannot load {path.name}: {error}; install tf-odl again") from error
    library.tfodl_bind_runtime.argtypes = [ctypes.c_void_p]
    library.tfodl_last_error.restype = ctypes.c_char_p
    library.tfodl_session_state.restype = ctypes.c_void_p
    library.tfodl_session_counts.restype = ctypes.POINTER(ctypes.c_uint32)
    library.tfodl_session_variable_count.restype = ctypes.c_uint32
    library.tfodl_session_variable_data.argtypes = [ctypes.c_uint32]
    library.tfodl_session_variable_data.restype = ctypes.c_void_p
    library.tfodl_session_variable_bytes.argtypes = [ctypes.c_uint32]
    library.tfodl_session_variable_bytes.restype = ctypes.c_uint32
    library.tfodl_session_reference.restype = ctypes.c_void_p
    library.tfodl_session_mask_bits.argtypes = [ctypes.c_uint32]
    library.tfodl_session_mask_bits.restype = ctypes.c_void_p
    library.tfodl_session_mask_neurons.argtypes = [ctypes.c_uint32]
    library.tfodl_session_mask_neurons.restype = ctypes.c_uint32
    return library
