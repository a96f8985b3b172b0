"""What a model file says, and how it is cut: ONNX graphs, TensorRT engines."""
