"""``UserModel-v0``: a learned user model as an environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Discrete, MultiDiscrete
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from irecgan_gym.envs.rendered_env import RenderedEnv
from irecgan_gym.envs.user_model_vector import UserModelVectorEnv
from irecgan_gym.models.user_model import UserModel
from irecgan_gym.rendering.session_view import SlateView
from irecgan_gym.settings import check_seed
from irecgan_gym.slates import check_slates


class UserModelEnv(RenderedEnv[Any, NDArray[np.int64]]):
    """A simulated user, learnt from logged sessions.

    ## Description
    The user behaviour model U of Bai, Guan and Wang (NeurIPS 2019), fitted to a log, plays the user: its recurrent
    state sums up the clicks so far (§4), a click is drawn from Eq 1 over the slate, a reward from Eq 2 for the item
    clicked.

    ## Action Space
    `MultiDiscrete([n] * k)`: the slate, k item ids. Users always see k different items: a slot that repeats an earlier
    item is filled with a random other item (`duplicates="error"` refuses instead). What was shown is `info["slate"]`.

    ## Observation Space
    `Discrete(n + 1)`: the last click. `n` stands for "no click": at the start of a session, when the user leaves, and
    (with `outside_option` in the model) when the user clicks nothing and goes on to the next list.

    | Num | Observation       | Min | Max |
    |-----|-------------------|-----|-----|
    | 0   | last clicked item | 0   | n   |

    ## Rewards
    0 or 1, drawn from the reward head for the clicked item, or numbers of the model's `reward_kind`; 0 without a click.

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
    | `render_mode`| str               | `None`      | `"ansi"`, `"rgb_array"` or `"human"`, see Rendering         |

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

    ## Rendering
    The last slate with each item's probability of a click (Eq 1; beside them that of leaving, where users can) and of a
    reward (Eq 2), before the click; what the user did; the clicks and rewards of the session. The state is a vector
    without readable parts: its norm stands for it. The modes are those of
    :class:`~irecgan_gym.envs.recsim.RecSimEnv`.

    ## Vectorized environment
    `gym.make_vec("UserModel-v0", num_envs=B, user_model=model)` gives
    :class:`~irecgan_gym.envs.user_model_vector.UserModelVectorEnv`: one batch of recurrent states, branchable.

    ## References
    X. Bai, J. Guan, H. Wang: A Model-Based Reinforcement Learning with Adversarial Training for Online Recommendation.
    NeurIPS 2019.

    ## Version History
    * v0: first version.
    """

    def __init__(
        self,
        *,
        user_model: UserModel | str | Path,
        slate_size: int | None = None,
        duplicates: str = "replace",
        device: str = "auto",
        render_mode: str | None = None,
    ) -> None:
        super().__init__(render_mode)
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
        self.catalogue = self._users.catalogue
        self.num_items = self._users.num_items
        self.slate_size = self._users.slate_size
        self.observation_space = Discrete(self.num_items + 1)
        self.action_space = MultiDiscrete([self.num_items] * self.slate_size)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.int64, dict[str, Any]]:
        """Begin a new session; a seed owns all randomness of this and the following sessions."""
        seed = check_seed(seed)
        super().reset(seed=seed)
        observations, info = self._users.reset(seed=seed)
        if self.screen is not None:
            self.screen.begin(self.title, self._state_in_words())
        return observations[0], _first(info)

    def step(self, action: Any) -> tuple[np.int64, float, bool, bool, dict[str, Any]]:
        """Show a slate to the user."""
        slate = check_slates(action, (self.slate_size,), self.num_items)
        before = None if self.screen is None else self._users.recurrent_states()
        observations, rewards, terminated, _, info = self._users.step(slate[None])
        if self.screen is not None and before is not None:
            view = self._slate_view(before, info["slate"], int(info["click"][0]), float(rewards[0]))
            self.screen.add(view, bool(terminated[0]), self._state_in_words())
        # Time limits are Gymnasium's own (``max_episode_steps``), so nothing is truncated here.
        return observations[0], float(rewards[0]), bool(terminated[0]), False, _first(info)

    @torch.no_grad()
    def _slate_view(self, state: torch.Tensor, slates: NDArray[np.int64], click: int, reward: float) -> SlateView:
        """Return the picture of a slate for :meth:`render`; ``state`` [1, S] before it, ``slates`` [1, k]."""
        items = torch.from_numpy(slates).to(state.device)
        chances = self.user_model.click_probabilities(state, items)[0].tolist()
        rewards = self.user_model.expected_rewards(state.expand(self.slate_size, -1), items[0])
        return SlateView(
            items=tuple(slates[0].tolist()),
            click_chances=tuple(chances[: self.slate_size]),
            reward_chances=tuple(rewards.tolist()),
            leave_chance=chances[-1] if self.user_model.leave_option else None,
            click=None if click == self.num_items else click,
            reward=reward,
        )

    def _state_in_words(self) -> str:
        """All that can be said of a recurrent state: no part of it has a meaning of its own."""
        state = self._users.recurrent_states()[0]
        return f"{len(state)} numbers of norm {float(state.norm()):.2f}"


def _first(info: dict[str, Any]) -> dict[str, Any]:
    """The info of the only user."""
    return {name: column[0] for name, column in info.items() if not name.startswith("_")}
