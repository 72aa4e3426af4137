"""A GPU for tests that is none: CuPy itself, on a driver, a CUDA runtime and a cuBLAS that work on the host.

    make emulated-gpu                                      builds it, and runs the tests that need a GPU
    python -m emulated_gpu -m accelnn train --backend cuda      runs any Python program on it, children too

Memory of the device is memory of the host, and kernels run on the machine of :mod:`ptx`, which executes their PTX and
checks every access: accelnn's and those that CuPy compiles. So what this finds is how accelnn uses CuPy, streams,
events, graphs and cuBLAS; nothing here is fast, and nothing says how fast a GPU is.

Work is put off until someone waits for it, as late as CUDA allows. Whoever forgets to wait reads old numbers.
"""
