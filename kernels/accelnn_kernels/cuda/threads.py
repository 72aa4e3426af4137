"""Who a thread is, and how the threads of a block add up: what kernels are written in."""

from __future__ import annotations


def first_element():
    """Return the number of this thread among all."""
    return cuda.blockIdx.x * cuda.blockDim.x + cuda.threadIdx.x


def all_threads():
    """Return the number of threads of the launch."""
    return cuda.gridDim.x * cuda.blockDim.x


def thread_of_block():
    """Return the number of this thread in its block."""
    return cuda.threadIdx.y * cuda.blockDim.x + cuda.threadIdx.x


def sum_of_threads(value, first, count):
    """Return the sum of ``value`` over ``count`` threads, a power of two, from number ``first`` on, to all of these.

    Every thread has to call it, with the same ``count``.
    """
    return value if count == 1 else joined(value, int32(first), int32(count), int32(0))


def largest_of_threads(value, first, count):
    """Return the largest ``value`` of these threads, to all of them."""
    return value if count == 1 else joined(value, int32(first), int32(count), int32(1))


def joined(value, first, count, is_largest):
    """Return the largest value or the sum, without two arrays in shared memory: ``is_largest`` is an int32, 0 or 1.

    A thread takes 16 values, so there are two rounds for 256 threads instead of the eight of a binary tree, and the
    threads wait for each other less often.
    """
    values = cuda.shared.array(block_threads, real)
    me = int32(thread_of_block())
    values[word(me)] = value
    cuda.syncthreads()
    if count > 16:
        if me < first + 16:
            k = int32(me + 16)
            while k < first + count:
                value = join(value, values[word(k)], is_largest)
                k = int32(k + 16)
            values[word(me)] = value
        cuda.syncthreads()
    value = joined_of_some(values, first, min(count, int32(16)), is_largest)
    cuda.syncthreads()  # the next ones overwrite them
    return value


def joined_of_some(values, first, count, is_largest):
    """Return the largest or the sum of 1, 2, 4, 8 or 16 values, in their order."""
    value, place = values[word(first)], int32(first + 1)
    if count > 1:
        value = join(value, values[word(place)], is_largest)
    if count > 2:
        for k in range(1, 3):
            value = join(value, values[word(int32(place + k))], is_largest)
    if count > 4:
        for k in range(3, 7):
            value = join(value, values[word(int32(place + k))], is_largest)
    if count > 8:
        for k in range(7, 15):
            value = join(value, values[word(int32(place + k))], is_largest)
    return value


def join(value, other, is_largest):
    """Return the sum of two, or the larger one: NaN does not count there, and shows in the sum of exponentials."""
    if is_largest != 0:
        return other if other > value else value
    return value + other


def sum_of_some(values, first, step, count):
    """Return the sum of 1, 2, 4, 8 or 16 values, in their order."""
    total, place = values[word(first)], int32(first + step)
    if count > 1:
        total, place = total + values[word(place)], int32(place + step)
    if count > 2:
        for _ in range(2):
            total, place = total + values[word(place)], int32(place + step)
    if count > 4:
        for _ in range(4):
            total, place = total + values[word(place)], int32(place + step)
    if count > 8:
        for _ in range(8):
            total, place = total + values[word(place)], int32(place + step)
    return total


def block_sum(value):
    """Return the sum of ``value`` over the threads of the block, a power of two, to all of them."""
    return sum_of_threads(value, int64(0), int64(cuda.blockDim.x * cuda.blockDim.y))


def is_last_block(counter, blocks):
    """Return to all threads of the block whether it is the last one of ``blocks`` to come here.

    What the other blocks wrote before they came is then visible. The counter, 0 before, is 0 again afterwards.
    """
    last = cuda.shared.array(1, flag_type)
    cuda.syncthreads()
    if thread_of_block() == 0:
        cuda.threadfence()  # behind the barrier, so that it counts for what all threads of the block have written
        last[0] = add_to_counter(counter, 1) == blocks - 1
        cuda.threadfence()  # ahead of the store, which then comes behind what all blocks have added
        if last[0]:
            store_int(counter, 0, 0)
    cuda.syncthreads()
    answer = last[0]
    cuda.syncthreads()  # the next question overwrites it
    return answer


def launch_sum(value, parts, counter):
    """Return (True, the sum of ``value`` over all threads of the launch) to one block, the last; (False, _) to others.

    ``parts`` has room for a real per block; the grid is a row of blocks.
    """
    total, blocks = block_sum(value), cuda.gridDim.x
    if blocks == 1:
        return True, total
    if thread_of_block() == 0:
        store_real(parts, cuda.blockIdx.x, total)
    if not is_last_block(counter, blocks):
        return False, total
    value, block = real(0), thread_of_block()
    while block < blocks:
        value += load_real(parts, block)
        block += cuda.blockDim.x * cuda.blockDim.y
    return True, block_sum(value)


def is_aligned(address):
    """Return whether a wide access may go to an address: views into the arena begin anywhere."""
    return address % 16 == 0


TEMPLATES = (
    first_element,
    all_threads,
    thread_of_block,
    sum_of_threads,
    largest_of_threads,
    joined,
    joined_of_some,
    join,
    sum_of_some,
    block_sum,
    is_last_block,
    launch_sum,
    is_aligned,
)
