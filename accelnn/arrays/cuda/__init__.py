"""The arrays floor on a CUDA device. Nothing here is imported before a backend "cuda" was asked for and works."""
