"""On-device learning for microcontrollers: fine-tune, export, simulate."""

__version__ = "0.1.0"
