"""wenet_lite: train, measure and ship streaming speech recognition."""

__version__ = "0.1.0"
