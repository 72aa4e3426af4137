"""Who executes the steps of a training run: plain arrays, compiled code, or a captured graph."""
