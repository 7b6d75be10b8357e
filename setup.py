"""Builds two libraries in C++; everything else is in pyproject.toml.

The host library holds the same C++ sources that go onto a board, and the bridge that adds them to
the TensorFlow Lite Micro of the tflite-micro wheel. The other one finds the largest entries of
errors while a model trains on the PC. Both are loaded with ctypes, not imported. Where they cannot
be compiled the installation goes on without: then there is no simulation, and training is slower.
"""

import sys
from pathlib import Path

from setuptools import Extension, setup

PORT = Path("tflm_port")


def sources(folder: str) -> list[str]:
    return sorted(path.as_posix() for path in (PORT / folder).rglob("*.cpp"))


def headers(folder: str) -> list[str]:
    return sorted(path.as_posix() for path in (PORT / folder).rglob("*.h"))


def extensions() -> list[Extension]:
    if sys.platform == "win32":  # the bridge binds a wheel that exists for Linux only
        return []
    return [
        Extension(
            "tf_odl.tflm_port._host",
            sources=sources("src") + sources("bridge"),
            depends=headers("src") + headers("bridge"),
            include_dirs=[(PORT / "src").as_posix(), (PORT / "bridge").as_posix()],
            define_macros=[("TFODL_HOST_BRIDGE", "1")],
            extra_compile_args=["-std=c++14", "-O2", "-ffp-contract=off", "-fno-exceptions"],
            libraries=["dl"] if sys.platform.startswith("linux") else [],
            optional=True,
        ),
        Extension(
            "tf_odl.methods._largest",
            sources=["tf_odl/methods/largest.cpp"],
            extra_compile_args=["-std=c++14", "-O3"],
            optional=True,
        ),
    ]


setup(ext_modules=extensions())
