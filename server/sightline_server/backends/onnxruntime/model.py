"""Stand-in for Triton's native ONNX Runtime backend."""
