"""Checkpoints: a run is kept in files while it goes on, and is taken up again from them."""
