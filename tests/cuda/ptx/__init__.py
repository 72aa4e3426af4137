"""A machine that executes the compiled PTX of kernels on the CPU and checks every access: sanitizers without a GPU."""
