"""Vector twins against Gymnasium's own vectorisation of the single wrappers."""

import numpy as np
from gymnasium.utils.env_checker import data_equivalence
from gymnasium.vector import AutoresetMode, SyncVectorEnv


def assert_same_infos(got, expected):
    assert set(got) == set(expected)
    for key, value in expected.items():
        if isinstance(value, dict):
            assert_same_infos(got[key], value)
        elif value.dtype == object:
            for one, other in zip(got[key], value, strict=True):
                assert data_equivalence(_plain(one), _plain(other)), key
        else:
            np.testing.assert_array_equal(got[key], value, err_msg=key)


def _plain(observation):
    """Gymnasium hands over ids as they come from the env, NumPy's or Python's."""
    return np.asarray(observation) if np.isscalar(observation) else observation


def assert_same_results(got, expected):
    """Results of ``reset`` or of ``step``."""
    np.testing.assert_equal(got[:-1], expected[:-1])
    assert_same_infos(got[-1], expected[-1])


def assert_twins(make, wrap, wrap_vector, autoreset_mode, *, num_envs=5, steps=60, masked=False):
    """A twin around many envs steps as many wrapped envs do: spaces, results, infos, sequences of resets.

    Args:
        make: makes a single env.
        wrap: wraps it.
        wrap_vector: wraps a vector env.
        autoreset_mode: of both.
        num_envs: users.
        steps: to take.
        masked: actions are drawn from those that the masks leave.

    Returns:
        Number of sessions that ended.
    """
    mode = AutoresetMode(autoreset_mode)
    singles = SyncVectorEnv([lambda: wrap(make())] * num_envs, autoreset_mode=mode)
    twin = wrap_vector(SyncVectorEnv([make] * num_envs, autoreset_mode=mode))
    for space in ("observation_space", "action_space", "single_observation_space", "single_action_space"):
        assert getattr(twin, space) == getattr(singles, space)
    assert_same_results(twin.reset(seed=3), singles.reset(seed=3))
    singles.action_space.seed(0)
    info, ended = singles.reset(seed=4)[1], 0
    assert_same_results(twin.reset(seed=4), singles.reset(seed=4))
    for _ in range(steps):
        if masked:
            np.testing.assert_array_equal(twin.action_masks(), info["action_mask"])
            np.testing.assert_array_equal(twin.action_masks(), np.stack(singles.call("action_masks")))
            actions = singles.action_space.sample(mask=tuple(info["action_mask"]))
        else:
            actions = singles.action_space.sample()
        result, expected = twin.step(actions), singles.step(actions)
        assert_same_results(result, expected)
        assert result[0] in twin.observation_space
        info, done = expected[4], expected[2] | expected[3]
        ended += int(done.sum())
        if mode == AutoresetMode.DISABLED and done.any():
            expected = singles.reset(options={"reset_mask": done.copy()})
            assert_same_results(twin.reset(options={"reset_mask": done.copy()}), expected)
            if masked:
                info = {"action_mask": np.stack(singles.call("action_masks")).astype(np.int8)}
    return ended
