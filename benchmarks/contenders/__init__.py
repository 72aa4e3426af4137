"""The contenders. Each module has ``prepare(work, images, labels) -> run``.

``run(order)`` trains one round on the rows ``order`` and returns the losses of its steps; whatever a library does once
(moving the data, compiling) belongs to ``prepare`` or to the warm-up round.
"""
