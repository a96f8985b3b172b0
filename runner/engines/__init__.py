"""What a TensorRT engine says of itself: its layers, their real precisions, and how two engines of one model differ. No TensorRT is needed to read it."""
