"""Checkpoints to one ONNX graph each, in a Triton model repository."""
