"""Several trainings in one program: in Python threads at once, and in processes that the program starts."""

from __future__ import annotations

import multiprocessing
import sys
import threading
import warnings

import numpy as np
import pytest

from tests.training.parity import weights_after_training


def test_two_python_threads_give_the_numbers_of_one_after_the_other(use_threads):
    use_threads(2)
    seeds = (1, 2, 3)
    expected = [weights_after_training(seed) for seed in seeds]
    together, start = {}, threading.Barrier(len(seeds))

    def train(seed):
        start.wait()
        together[seed] = weights_after_training(seed)

    threads = [threading.Thread(target=train, args=(seed,)) for seed in seeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, weights in zip(seeds, expected, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(weights, together[seed], strict=True))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_process_trains_after_its_parent(method, use_threads):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"{sys.platform} does not start processes by {method}")
    use_threads(2)
    expected = weights_after_training(1)
    context = multiprocessing.get_context(method)
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=weights_after_training, kwargs={"seed": 1, "threads": 2, "sender": sender})
    with warnings.catch_warnings():
        # Other threads (of the test runner) may be alive; none of accelnn's is between two calls.
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    sender.close()
    assert receiver.poll(120), "the child sent nothing"
    weights = receiver.recv()
    child.join(60)
    assert child.exitcode == 0
    assert all(np.array_equal(a, b) for a, b in zip(expected, weights, strict=True))


def test_workers_of_joblib_train_after_their_parent(use_threads):
    joblib = pytest.importorskip("joblib", reason="joblib is not installed; scikit-learn brings it")
    use_threads(2)
    seeds = (1, 2)
    expected = [weights_after_training(seed) for seed in seeds]
    calls = (joblib.delayed(weights_after_training)(seed, threads=2) for seed in seeds)
    try:
        found = joblib.Parallel(n_jobs=2, backend="loky")(calls)
    finally:
        joblib.externals.loky.get_reusable_executor().shutdown(wait=True)
    for one, other in zip(expected, found, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
