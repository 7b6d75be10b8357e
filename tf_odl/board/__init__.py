"""A board that learns, seen from a PC: the serial protocol, Arduino's tools, QEMU."""
