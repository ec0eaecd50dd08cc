"""``UserModel-v0``: a learned user model as an environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from irecgan_gym.envs.slates import check_slates
from irecgan_gym.envs.user_model_vector import UserModelVectorEnv
from irecgan_gym.models.user_model import UserModel


class UserModelEnv(gym.Env[Any, NDArray[np.int64]]):
    """A simulated user, learnt from logged sessions.

    ## Description
    The user behaviour model U of Bai, Guan and Wang (NeurIPS 2019), fitted to a log, plays the user: its recurrent
    state sums up the clicks so far (§4), a click is drawn from Eq 1 over the slate, a reward from Eq 2 for the item
    clicked.

    ## Action Space
    `MultiDiscrete([n] * k)`: the slate, k item ids. Users always see k different items: a slot that repeats an earlier
    item is filled with a random other item (`duplicates="error"` refuses instead). What was shown is `info["slate"]`.

    ## Observation Space
    `Discrete(n + 1)`: the last click. `n` stands for "no click": at the start of a session, and when the user leaves.

    | Num | Observation       | Min | Max |
    |-----|-------------------|-----|-----|
    | 0   | last clicked item | 0   | n   |

    ## Rewards
    0 or 1, drawn from the reward head for the clicked item; 0 when the user leaves.

    ## Starting State
    No clicks yet.

    ## Episode End
    1. Termination: with `ending="reward"` in the model, a reward of 0; with `ending="leave"`, the user chooses to leave
       (one alternative beside the k items) and the observation is n.
    2. Truncation: only by `max_episode_steps` of `gymnasium.make`.

    ## Information
    `slate`: the items shown, int64 [k] (-1 after `reset`); `click`: the item clicked (n after `reset` or on leaving).

    ## Arguments
    | Parameter    | Type              | Default     | Description                                                 |
    |--------------|-------------------|-------------|-------------------------------------------------------------|
    | `user_model` | `UserModel`, path | required    | a fitted model, or a file that `UserModel.save` wrote       |
    | `slate_size` | int, None         | `None`      | items shown, k; the model's own when None                   |
    | `duplicates` | str               | `"replace"` | or `"error"`: a repeated item is refused                    |
    | `device`     | str               | `"auto"`    | where a model given by its path is put                      |

    ```python
    >>> import gymnasium as gym
    >>> import irecgan_gym
    >>> from irecgan_gym.models.user_model import UserModel, UserModelConfig
    >>> model = UserModel.create(UserModelConfig(num_items=50, slate_size=10), seed=0)
    >>> env = gym.make("UserModel-v0", user_model=model)
    >>> observation, info = env.reset(seed=0)
    >>> int(observation)
    50

    ```

    ## Vectorized environment
    `gym.make_vec("UserModel-v0", num_envs=B, user_model=model)` gives
    :class:`~irecgan_gym.envs.user_model_vector.UserModelVectorEnv`: one batch of recurrent states, branchable.

    ## References
    X. Bai, J. Guan, H. Wang: A Model-Based Reinforcement Learning with Adversarial Training for Online Recommendation.
    NeurIPS 2019.

    ## Version History
    * v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(
        self,
        *,
        user_model: UserModel | str | Path,
        slate_size: int | None = None,
        duplicates: str = "replace",
        device: str = "auto",
        render_mode: str | None = None,
    ) -> None:
        # One user is a batch of one: what users do is written once, in the vector env.
        self._users = UserModelVectorEnv(
            1,
            user_model=user_model,
            slate_size=slate_size,
            duplicates=duplicates,
            autoreset_mode=AutoresetMode.DISABLED,
            device=device,
        )
        self.user_model = self._users.user_model
        self.num_items = self._users.num_items
        self.slate_size = self._users.slate_size
        self.render_mode = render_mode
        self.observation_space = Discrete(self.num_items + 1)
        self.action_space = MultiDiscrete([self.num_items] * self.slate_size)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.int64, dict[str, Any]]:
        """Begin a new session; a seed owns all randomness of this and the following sessions."""
        super().reset(seed=seed)
        observations, info = self._users.reset(seed=seed)
        return observations[0], _first(info)

    def step(self, action: Any) -> tuple[np.int64, float, bool, bool, dict[str, Any]]:
        """Show a slate to the user."""
        slate = check_slates(action, (self.slate_size,), self.num_items)
        observations, rewards, terminated, _, info = self._users.step(slate[None])
        # Time limits are Gymnasium's own (``max_episode_steps``), so nothing is truncated here.
        return observations[0], float(rewards[0]), bool(terminated[0]), False, _first(info)


def _first(info: dict[str, Any]) -> dict[str, Any]:
    """The info of the only user."""
    return {name: column[0] for name, column in info.items() if not name.startswith("_")}
