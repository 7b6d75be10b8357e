"""Grids of fine-tuning runs: declared in YAML, run in parallel, resumed, held against the papers.

This package does not import TensorFlow where it plans and reports; only `work` does, in the
processes that train.
"""
