# make demo and make test set everything up themselves, as root with missing Debian packages.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# Two processes at least, as much of the time is TensorFlow's start; four at most, as each needs memory.
JOBS   ?= $(shell $(PYTHON) -c 'import os; print(max(2, min(4, os.cpu_count() or 2)))')
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile
FUZZ_SECONDS ?= 600
# Debian's: compilers and machines for a Cortex-M4 and an Xtensa lx106, Arduino's builder, a fuzzer.
TOOLS  := gcc-arm-none-eabi libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib qemu-system-arm \
  gcc-xtensa-lx106 picolibc-xtensa-lx106-elf qemu-system-misc arduino-builder clang libclang-rt-dev

.PHONY: demo test test-all fuzz bench bench-mcu check-mcu lint setup tools clean

demo: $(READY)
	$(BIN)/tf-odl demo --out runs/demo

test: $(READY)
	$(PYTEST) -m "not slow"

test-all: $(READY) lint
	$(PYTEST)

# Damaged training graphs through the training ops; says what to install.
fuzz: $(READY)
	$(BIN)/python tests/fuzz_graphs.py $(FUZZ_SECONDS)

bench: $(READY)
	$(BIN)/python benchmarks/epoch_time.py --model mlp5 --batch 1
	$(BIN)/python benchmarks/epoch_time.py --model mlp5
	$(BIN)/python benchmarks/epoch_time.py --model cnn5
	$(BIN)/python benchmarks/epoch_time.py --model keras-example

# Instructions, flash and RAM on a Cortex-M4 in QEMU; says what to install.
bench-mcu: $(READY)
	$(BIN)/python benchmarks/mcu/run.py

check-mcu: $(READY)
	$(BIN)/python benchmarks/mcu/run.py --check

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy

setup: $(READY)

# What the tests skip without: 530 MB to download, 3 GB on the disk.
tools:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -qy --no-install-recommends $(TOOLS); \
	else \
	  echo "as root: apt install $(TOOLS)" >&2; exit 1; \
	fi

# venv, a C++ compiler and Python's headers for the training ops; everything else comes from pip.
HAS_ALL := $(PYTHON) -c 'import ensurepip, pathlib, shutil, sys, sysconfig, venv; \
  sys.exit(not (shutil.which("g++") and pathlib.Path(sysconfig.get_path("include"), "Python.h").exists()))'

$(READY): pyproject.toml setup.py $(shell find tflm_port -name '*.cpp' -o -name '*.h')
	@if ! $(HAS_ALL); then \
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    apt-get update -q && DEBIAN_FRONTEND=noninteractive \
	      apt-get install -qy --no-install-recommends g++ python3-venv python3-dev; \
	  else \
	    echo "needed first: apt install g++ python3-venv python3-dev" >&2; exit 1; \
	  fi; \
	fi
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -e ".[simulate,dev]"
	touch $@

clean:
	rm -rf build dist runs *.egg-info tflm_port/*.so $(VENV)
