"""Everything that only a GPU can prove, in one command: ``python -m benchmarks.gpu_check``.

It needs no network and works from a plain checkout with the packages that are found; what is missing is said, and the
rest goes on. Every section runs in a process of its own with a time limit, so that a crash or a hang of one, which
leaves its CUDA context useless, takes nothing else with it. One JSON file is written, and written again after every
section.
"""
