"""Compiled loops over users: the same answers from the same draws as the NumPy code that they stand in for.

Arrays are contiguous int64, float64 or bool, checked by the callers. Sums are taken slot by slot, as ``cumsum`` takes
them, so that results agree to the last bit. All randomness comes in as arrays of uniform numbers. Indices are unsigned:
signed ones would be tested for Python's negative indices at every access.

Everything is in one file because numba's cache notices changes of a function's own file only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from irecgan_gym.kernels.jit import compiled, inlined

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Rows that go through one phase before the next phase begins. Phases of one row wait for each other; other rows fill
# the gaps.
_BLOCK = 8
# Catalogues of so many items fit into the bits of a number, which finds repeats soonest.
_BITS = 64
# Uniform numbers that a user takes at each step: DRAWS_PER_STEP of the dynamics.
_DRAWS = np.uint64(2)
# Of splitmix64, as in irecgan_gym.envs.user_streams.
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FACTOR_1, _FACTOR_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFT_1, _SHIFT_2, _SHIFT_3 = np.uint64(30), np.uint64(27), np.uint64(31)
# SHORTEST_TIME of the dynamics.
_SHORTEST_TIME = 2.0**-64


@compiled
def first_invalid(items: Ints, num_items: int) -> int:
    """Place of the first id out of range in a flat array, -1 if there is none."""
    largest = np.uint64(0)
    for place in range(items.size):
        # Negative ids are huge unsigned numbers.
        largest = max(largest, np.uint64(items[place]))
    if largest < np.uint64(num_items):
        return -1
    for place in range(items.size):
        if items[place] < 0 or items[place] >= num_items:
            return place
    return -1


@compiled
def first_repeating_row(slates: Ints, skipped: Flags, num_items: int) -> int:
    """First row of [B, k], not among the skipped ones, that holds an item more than once; -1 if there is none."""
    shown = np.zeros(num_items, np.bool_)
    for row in range(slates.shape[0]):
        if not skipped[row] and _count_repeats(slates[row], shown) > 0:
            return row
    return -1


@compiled
def count_repeats(slates: Ints, num_items: int) -> Ints:
    """Number of slots in each row that repeat an earlier one, [B]."""
    shown = np.zeros(num_items, np.bool_)
    counts = np.empty(slates.shape[0], np.int64)
    for row in range(slates.shape[0]):
        counts[row] = _count_repeats(slates[row], shown)
    return counts


@compiled
def replace_repeats(slates: Ints, rows: Ints, draws: Floats, num_items: int) -> None:
    """Fill the slots of the given rows that repeat an earlier one, in place; a draw each, row by row, slot by slot."""
    shown = np.zeros(num_items, np.bool_)
    taken = np.empty(slates.shape[1], np.int64)
    used = 0
    for row in rows:
        used = _repair(slates[row], draws, used, shown, taken)


@compiled
def random_slates(draws: Floats, num_items: int) -> Ints:
    """Fisher and Yates's shuffle, stopped after k items, of the catalogue for every row of draws [B, k]."""
    number, size = draws.shape
    slates = np.empty((number, size), np.int64)
    deck = np.arange(num_items)
    places = np.empty(size, np.int64)
    for row in range(number):
        for slot in range(size):
            place = np.uint64(slot + int(draws[row, slot] * (num_items - slot)))
            places[slot] = place
            item = deck[place]
            deck[place] = deck[slot]
            deck[slot] = item
            slates[row, slot] = item
        # Back to the sorted deck: every row is a function of its own draws.
        for back in range(size):
            slot = size - 1 - back
            place = np.uint64(places[slot])
            item = deck[place]
            deck[place] = deck[slot]
            deck[slot] = item
    return slates


@compiled
def respond(
    states: Ints,
    slates: Ints,
    draws: Floats,
    rewards: Floats,
    transitions: Floats,
    clicks: Ints,
    successes: Flags,
    after: Ints,
) -> None:
    """Answers of B users to slates of different items; the last three arguments are filled."""
    size, num_states = np.uint64(slates.shape[1]), np.uint64(transitions.shape[1])
    num_items = np.uint64(len(rewards) // transitions.shape[1])
    items, draw, table = slates.reshape(-1), draws.reshape(-1), transitions.reshape(-1)
    block, number = np.uint64(_BLOCK), np.uint64(len(states))
    sums = np.empty(_BLOCK * slates.shape[1])
    for first in range(np.uint64(0), number, block):
        in_block = min(block, number - first)
        for line in range(in_block):
            row = first + line
            _accumulate(items, row * size, size, rewards, np.uint64(states[row]) * num_items, sums, line * size)
        for line in range(in_block):
            row = first + line
            clicks[row], successes[row], after[row] = _answer(
                items, row * size, size, sums, line * size, states[row], num_items, rewards, table, num_states, draw,
                _DRAWS * row,
            )  # fmt: skip


@compiled
def respond_by_item(
    states: Ints,
    slates: Ints,
    users: Ints,
    steps: Ints,
    key: Any,
    rewards: Floats,
    transitions: Floats,
    clicks: Ints,
    successes: Flags,
    after: Ints,
) -> None:
    """Answers of B users to slates of different items by the users' streams; the last three arguments are filled."""
    size, num_states, one = np.uint64(slates.shape[1]), np.uint64(transitions.shape[1]), np.uint64(1)
    num_items = np.uint64(len(rewards) // transitions.shape[1])
    items, table = slates.reshape(-1), transitions.reshape(-1)
    for row in range(np.uint64(len(states))):
        stream = _word(_word(key, np.uint64(users[row])), np.uint64(steps[row]))
        begin, base = row * size, np.uint64(states[row]) * num_items
        largest = 0.0
        for slot in range(size):
            largest = max(largest, rewards[base + np.uint64(items[begin + slot])])
        first, click = -1.0, np.uint64(0)
        for slot in range(size):
            item = np.uint64(items[begin + slot])
            time = max(-np.log(1.0 - _number(_word(stream, item))), _SHORTEST_TIME)
            speed = rewards[base + item] / largest / time
            if speed > first:
                first, click = speed, item
        entry = base + click
        success = _number(_word(stream, num_items)) < rewards[entry]
        move, place, state = _number(_word(stream, num_items + one)), entry * num_states, np.uint64(0)
        for other in range(num_states - one):
            state += np.uint64(table[place + np.uint64(other)] <= move)
        clicks[row] = click
        successes[row] = success
        after[row] = np.int64(state) if success else states[row]


@compiled
def play(
    actions: Ints,
    waiting: Flags,
    draws: Floats,
    rewards_table: Floats,
    transitions: Floats,
    start_state: int,
    elapsed: Ints,
    states: Ints,
    shown_in_states: Ints,
    slates: Ints,
    clicks: Ints,
    rewards: Floats,
    terminated: Flags,
    put_off: Ints,
) -> Any:
    """One step of B users, of whom those that wait begin a new session instead.

    Rows whose slate repeats an item are put off, to be repaired and played by :func:`play_repaired`.

    Args:
        actions: [B, k], ids in range.
        waiting: [B].
        draws: 2 for each user that does not wait, in order.
        rewards_table: r, flat.
        transitions: cumulative, [m * n, m].
        start_state: of new sessions.
        elapsed: steps of the sessions so far, [B]; changed in place, as are all that follow.
        states: [B].
        shown_in_states: [B].
        slates: [B, k].
        clicks: [B].
        rewards: [B].
        terminated: [B].
        put_off: pairs of a row and its first draw, flat [2 B].

    Returns:
        Numbers of rows put off and of their slots that repeat an earlier one.
    """
    size, num_states = np.uint64(actions.shape[1]), np.uint64(transitions.shape[1])
    num_items = np.uint64(len(rewards_table) // transitions.shape[1])
    items, shown, table = actions.reshape(-1), slates.reshape(-1), transitions.reshape(-1)
    block, one, number = np.uint64(_BLOCK), np.uint64(1), np.uint64(len(states))
    sums = np.empty(_BLOCK * actions.shape[1])
    repeats = np.zeros(_BLOCK, np.uint64)
    few = num_items <= np.uint64(_BITS)
    marks = np.zeros(len(rewards_table) // transitions.shape[1], np.bool_)
    drawn, num_put_off, num_repeats = np.uint64(0), 0, np.uint64(0)
    # Rows are sorted without branches: processors cannot foresee who waits.
    playing, resting = np.empty(len(states), np.uint64), np.empty(len(states), np.uint64)
    num_playing, num_resting = np.uint64(0), np.uint64(0)
    for candidate in range(number):
        playing[num_playing] = candidate
        resting[num_resting] = candidate
        num_playing += np.uint64(not waiting[candidate])
        num_resting += np.uint64(waiting[candidate])
    for line in range(num_resting):
        row = resting[line]
        elapsed[row] = 0
        states[row] = start_state
        shown_in_states[row] = -1
        clicks[row] = num_items
        rewards[row] = 0
        terminated[row] = False
        for slot in range(size):
            shown[row * size + slot] = -1
    for first in range(np.uint64(0), num_playing, block):
        in_block = min(block, num_playing - first)
        for line in range(in_block):
            row = playing[first + line]
            begin, place = row * size, line * size
            base = np.uint64(states[row]) * num_items
            total, seen = 0.0, np.uint64(0)
            for slot in range(size):
                item = np.uint64(items[begin + slot])
                shown[begin + slot] = item
                seen |= one << (item & np.uint64(63))
                total += rewards_table[base + item]
                sums[place + slot] = total
            repeats[line] = size - _count_bits(seen) if few else np.uint64(_count_repeats(actions[row], marks))
        for line in range(in_block):
            row = playing[first + line]
            state = states[row]
            shown_in_states[row] = state
            elapsed[row] += 1
            if repeats[line]:
                put_off[2 * num_put_off] = row
                put_off[2 * num_put_off + 1] = drawn
                num_put_off += 1
                num_repeats += repeats[line]
            else:
                click, success, after = _answer(
                    items, row * size, size, sums, line * size, state, num_items, rewards_table, table, num_states,
                    draws, drawn,
                )  # fmt: skip
                states[row] = after
                clicks[row] = click
                rewards[row] = success
                terminated[row] = not success
            drawn += _DRAWS
    return num_put_off, num_repeats


@compiled
def play_repaired(
    put_off: Ints,
    draws: Floats,
    repair_draws: Floats,
    rewards_table: Floats,
    transitions: Floats,
    states: Ints,
    slates: Ints,
    clicks: Ints,
    rewards: Floats,
    terminated: Flags,
) -> None:
    """Repair and play the rows that :func:`play` put off; ``put_off`` holds these only."""
    size, num_states = np.uint64(slates.shape[1]), np.uint64(transitions.shape[1])
    num_items = np.uint64(len(rewards_table) // transitions.shape[1])
    shown, table = slates.reshape(-1), transitions.reshape(-1)
    marks = np.zeros(len(rewards_table) // transitions.shape[1], np.bool_)
    taken = np.empty(slates.shape[1], np.int64)
    sums = np.empty(slates.shape[1])
    used = 0
    for pair in range(len(put_off) // 2):
        row, drawn = np.uint64(put_off[2 * pair]), np.uint64(put_off[2 * pair + 1])
        used = _repair(slates[row], repair_draws, used, marks, taken)
        state = states[row]
        _accumulate(shown, row * size, size, rewards_table, np.uint64(state) * num_items, sums, np.uint64(0))
        click, success, after = _answer(
            shown, row * size, size, sums, np.uint64(0), state, num_items, rewards_table, table, num_states, draws,
            drawn,
        )  # fmt: skip
        states[row] = after
        clicks[row] = click
        rewards[row] = success
        terminated[row] = not success


@inlined
def _word(stream: Any, place: Any) -> Any:
    """Word of splitmix64 at a place, from 0 on, of the stream that begins with this state."""
    word = stream + (place + np.uint64(1)) * _GAMMA
    word = (word ^ (word >> _SHIFT_1)) * _FACTOR_1
    word = (word ^ (word >> _SHIFT_2)) * _FACTOR_2
    return word ^ (word >> _SHIFT_3)


@inlined
def _number(word: Any) -> Any:
    """Return a word as a number of U[0, 1), by its first 53 bits."""
    return (word >> np.uint64(11)) * 2.0**-53


@inlined
def _count_bits(bits: Any) -> Any:
    """Number of ones in 64 bits; compilers know this form, and use the processor's own instruction."""
    bits -= (bits >> np.uint64(1)) & np.uint64(0x5555555555555555)
    pairs = np.uint64(0x3333333333333333)
    bits = (bits & pairs) + ((bits >> np.uint64(2)) & pairs)
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (bits * np.uint64(0x0101010101010101)) >> np.uint64(56)


@compiled
def _count_repeats(slate: Ints, shown: Flags) -> int:
    """Slots that repeat an earlier one; ``shown`` is False for every item, before and after."""
    repeats = 0
    for item in slate:
        repeats += shown[np.uint64(item)]
        shown[np.uint64(item)] = True
    for item in slate:
        shown[np.uint64(item)] = False
    return repeats


@inlined
def _repair(slate: Ints, draws: Floats, used: int, shown: Flags, taken: Ints) -> int:
    """Fill the slots that repeat an earlier one, in place; the number of draws used so far, in and out.

    ``shown`` is False for every item, before and after; ``taken`` has room for the slate.
    """
    num_taken = 0
    for slot in range(len(slate)):
        present = slate[slot]
        if shown[np.uint64(present)]:
            slate[slot] = -1
        else:
            shown[np.uint64(present)] = True
            taken[num_taken] = present
            num_taken += 1
    for place in range(num_taken):
        shown[np.uint64(taken[place])] = False
    for slot in range(len(slate)):
        if slate[slot] < 0:
            # The number of a free item among the free ones; stepping over the taken ones below it gives its id.
            number = int(draws[used] * (len(shown) - num_taken))
            used += 1
            item, stepped_over = number, -1
            while item != stepped_over:
                stepped_over, item = item, number
                for place in range(num_taken):
                    item += taken[place] <= stepped_over
            slate[slot] = item
            taken[num_taken] = item
            num_taken += 1
    return used


@inlined
def _accumulate(items: Ints, begin: Any, size: Any, rewards: Floats, base: Any, sums: Floats, place: Any) -> None:
    """Cumulative rewards of a slate, which begins at ``begin``, written to ``sums`` from ``place`` on."""
    total = 0.0
    for slot in range(size):
        total += rewards[base + np.uint64(items[begin + np.uint64(slot)])]
        sums[place + np.uint64(slot)] = total


@inlined
def _answer(
    items: Ints,
    begin: Any,
    size: Any,
    sums: Floats,
    place: Any,
    state: int,
    num_items: Any,
    rewards: Floats,
    table: Floats,
    num_states: Any,
    draws: Floats,
    drawn: Any,
) -> Any:
    """Click, success and next state of one user, by inversion of the cumulative probabilities."""
    one = np.uint64(1)
    threshold = draws[drawn] * sums[place + size - one]
    slot = np.uint64(0)
    for other in range(size - one):
        slot += np.uint64(sums[place + np.uint64(other)] <= threshold)
    click = np.uint64(items[begin + slot])
    entry = np.uint64(state) * num_items + click
    success = draws[drawn + one] < rewards[entry]
    # Among the successes, this quotient is uniform again.
    move, first, after = draws[drawn + one] / rewards[entry], entry * num_states, np.uint64(0)
    for other in range(num_states - one):
        after += np.uint64(table[first + np.uint64(other)] <= move)
    return click, success, np.int64(after) if success else np.int64(state)
