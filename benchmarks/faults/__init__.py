"""Kills training runs at random moments, also inside the writing of a checkpoint, and resumes them."""
