"""How a block of the persistent kernel multiplies: its threads share out the terms of sums and add up what they have.

Numbers go in *fours*, 16 bytes of float32. A thread has 4 x 4 sums, which are four fours, of one *lane*; of each of
them it has the terms of one *group*. Lanes and groups are powers of two, at most 16 groups, and threads that find none
have nothing to do. The sums of all groups meet in shared memory, where each four of outputs is added up by one thread.
The order of the terms is always the same.

What the units of a layer hand on lies in fours as well, of four rows of the batch: number ``n * quads + c`` is that of
unit ``4 c + n``, where ``quads`` is that of :func:`quads_of_units`. Neighbouring threads, which do neighbouring lanes,
then use neighbouring memory.
"""

from __future__ import annotations

from typing import NamedTuple


class Share(NamedTuple):
    """Which part of the work of a block is that of this thread; the logarithms of how many lanes and groups there are.

    is_active: whether it has any. is_turned: whether each group's fours lie turned round by one more place, so that
    neighbouring threads with neighbouring groups do not wait for each other's banks of the shared memory.
    """

    lane: int
    group: int
    lane_bits: int
    group_bits: int
    is_active: bool
    is_turned: bool


def lanes_first(lane_bits, group_bits):
    """Share the work out so that neighbouring threads do neighbouring lanes."""
    me, lane_bits, group_bits = int32(own_thread()), int32(lane_bits), int32(group_bits)
    group = shift_down(me, lane_bits)
    is_active = group < shift_up(int32(1), group_bits)
    return Share(low_bits(me, lane_bits), group, lane_bits, group_bits, is_active, False)


def groups_first(lane_bits, group_bits):
    """Share it out so that they do neighbouring groups, whose terms are neighbours."""
    me, lane_bits, group_bits = int32(own_thread()), int32(lane_bits), int32(group_bits)
    lane = shift_down(me, group_bits)
    is_active = lane < shift_up(int32(1), lane_bits)
    return Share(lane, low_bits(me, group_bits), lane_bits, group_bits, is_active, True)


def low_bits(number, bits):
    """Return so many bits of a number."""
    return int32(number & int32(shift_up(int32(1), bits) - 1))


def quads_of(size):
    """Return how many groups of four units, rows or columns there are, the last one perhaps with fewer."""
    return shift_down(int32(size + 3), int32(2))


def quads_of_units(n_out):
    """Return how many quads of units there is room for: behind the last one stands a 1, the input of a bias."""
    return int32(shift_down(int32(n_out), int32(2)) + 1)


def put_four(values, place, four):
    """Write four number ``place`` of a shared array."""
    first = word(4) * word(place)
    for k in range(4):
        values[first | word(k)] = four[k]


def get_four(values, place, four):
    """Read it."""
    first = word(4) * word(place)
    for k in range(4):
        four[k] = values[first | word(k)]


def store_four(address, place, four):
    """Write four number ``place`` of an array in global memory, 16 bytes at a time."""
    for first in range(0, 4, width):
        store_wide(address, int64(4) * place + first, four[first : first + width])


def place_of_share(share, lane, group):
    """Return where the first four of a lane and a group lies."""
    turned = low_bits(int32(lane + group), share.lane_bits) if share.is_turned else lane
    return int32(shift_up(group, share.lane_bits) + turned)


def distance_of_fours(share):
    """Return how far the four fours of a thread lie apart: a few places more than there are threads."""
    lanes = shift_up(int32(1), share.lane_bits)
    return int32(shift_up(lanes, share.group_bits) + min(lanes, int32(8)))


def put_sums(share, sums, partials):
    """Put the sums of an active thread where the block adds them up; ``partials``: a shared array."""
    place, distance = place_of_share(share, share.lane, share.group), distance_of_fours(share)
    for number in range(4):
        put_four(partials, int32(place + number * distance), sums[4 * number : 4 * number + 4])


def fours_of_share(share):
    """Return how many fours of outputs all lanes have together; the first are number 0 of each lane."""
    return shift_up(int32(4), share.lane_bits)


def lane_of_four(share, item):
    """Return the lane of a four."""
    return low_bits(item, share.lane_bits)


def number_of_four(share, item):
    """Return which of the four fours of its lane it is."""
    return shift_down(item, share.lane_bits)


def place_of_lane(lane, columns_bits, row, column):
    """Return the quads of rows and columns of a lane of a tile that begins at these."""
    return int32(row + shift_down(lane, columns_bits)), int32(column + low_bits(lane, columns_bits))


def total_of_share(share, partials, item, total):
    """Fill ``total`` with a four of outputs, once all sums are there: of 1, 2, 4, 8 or 16 groups."""
    lane, groups = lane_of_four(share, item), shift_up(int32(1), share.group_bits)
    first = int32(number_of_four(share, item) * distance_of_fours(share))
    get_four(partials, int32(first + place_of_share(share, lane, int32(0))), total)
    if groups > 1:
        add_four(partials, int32(first + place_of_share(share, lane, int32(1))), total)
    if groups > 2:
        for group in range(2, 4):
            add_four(partials, int32(first + place_of_share(share, lane, int32(group))), total)
    if groups > 4:
        for group in range(4, 8):
            add_four(partials, int32(first + place_of_share(share, lane, int32(group))), total)
    if groups > 8:
        for group in range(8, 16):
            add_four(partials, int32(first + place_of_share(share, lane, int32(group))), total)


def add_four(values, place, total):
    """Add four number ``place`` of a shared array to a four."""
    first = word(4) * word(place)
    for k in range(4):
        total[k] += values[first | word(k)]


TEMPLATES = (
    lanes_first,
    groups_first,
    low_bits,
    quads_of,
    quads_of_units,
    put_four,
    get_four,
    store_four,
    place_of_share,
    distance_of_fours,
    put_sums,
    fours_of_share,
    lane_of_four,
    number_of_four,
    place_of_lane,
    total_of_share,
    add_four,
)
