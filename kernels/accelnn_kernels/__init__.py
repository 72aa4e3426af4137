"""Fused loops over raw arrays: the ground floor. It knows no network and imports no ``accelnn``.

Everything here is a *template*: a plain Python function whose free names (``real``, ``exp``, ``matrix``,
``activation``...) are bound when it is compiled, once per dtype and target. So one formula serves float32 and
float64, the CPU loops, a CUDA kernel, and a slow plain-Python run for tests.
"""
