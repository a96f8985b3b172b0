"""What a model is: everything that its answers depend on, as one hash that is the same on every host."""
