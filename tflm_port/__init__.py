"""The C++ training ops for TensorFlow Lite Micro, and the bridge that runs them on a PC."""
