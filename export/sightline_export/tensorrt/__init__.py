"""Networks of a model repository as TensorRT plans, in a second repository that is complete by itself."""
