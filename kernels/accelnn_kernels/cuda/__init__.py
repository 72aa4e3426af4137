"""The kernels for CUDA devices: the same names, argument order and scalar formulas as those for the CPU.

Importing this package imports no CUDA package; asking for a kernel's machine code, or running the simulator, does.
"""
