"""``RecSim-v0``: the synthetic recommendation MDP of Bai, Guan and Wang (NeurIPS 2019), §7.1."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from irecgan_gym.envs.recsim_world import RecSimWorld
from irecgan_gym.envs.slates import check_slates, distinct_slates
from irecgan_gym.mdp import RecommendationMDP, TransitionKind
from irecgan_gym.sessions import Sessions


class RecSimEnv(gym.Env[np.int64, NDArray[np.int64]]):
    """A user with a hidden state, who is shown slates until a click fails.

    ## Description
    The user is in one of m hidden states; item a has the reward r(s, a), drawn once from U(0, 1]. Of the slate shown,
    the user clicks one item, drawn in proportion to r(s, .). The click succeeds with probability r(s, a): then the
    reward is 1 and the state moves by P(. | s, a). Else the reward is 0 and the session ends. The agent's task is to
    keep sessions going.

    The suite registers three of these worlds:

    | Id                     | Transitions                                      | Clicks say                   |
    |------------------------|--------------------------------------------------|------------------------------|
    | `RecSim-v0`            | `"softmax"`, nearly uniform rows (the paper's)   | almost nothing of the state  |
    | `RecSim-Observable-v0` | `"item"`, `epsilon=0.05`                         | in which state the user is   |
    | `RecSim-Planning-v0`   | the same, rewards scaled per state from 1 to 0.1 | the same; greed costs later  |

    ## Action Space
    `MultiDiscrete([n] * k)`: the slate, k item ids. Users always see k different items: a slot that repeats an earlier
    item is filled with a random other item (`duplicates="error"` refuses instead), because a user who must click would
    make a slate of one excellent item unbeatable. What was shown is `info["slate"]`. An id out of range or a wrong
    shape raises a `ValueError`.

    ## Observation Space
    `Discrete(n + 1)`: the last click, and `n` for "no click yet". With `observation="state"`, for oracles,
    `Discrete(m)`: the user's state. Use Gymnasium's own stacking wrappers for histories.

    | Num | Observation       | Min | Max |
    |-----|-------------------|-----|-----|
    | 0   | last clicked item | 0   | n   |

    ## Rewards
    1 for a click that succeeds, 0 for the one that does not.

    ## Starting State
    State 0, no clicks yet.

    ## Episode End
    1. Termination: a click fails. The observation is still the item clicked, and the state stays as it was.
    2. Truncation: only by `max_episode_steps` of `gymnasium.make`; there is no limit by default.

    ## Information
    The same keys from `reset` and `step`:

    | Key              | Meaning                                                                          |
    |------------------|----------------------------------------------------------------------------------|
    | `state`          | the user's state now                                                             |
    | `previous_state` | the state in which the slate was shown (in `reset`, the state at the start)      |
    | `slate`          | the items shown, int64 [k] (-1 in `reset`)                                       |
    | `click`          | the item clicked (n in `reset`)                                                  |

    ## Arguments
    | Parameter        | Type   | Default     | Description                                                          |
    |------------------|--------|-------------|----------------------------------------------------------------------|
    | `num_states`     | int    | `10`        | m                                                                    |
    | `num_items`      | int    | `50`        | n                                                                    |
    | `slate_size`     | int    | `10`        | k                                                                    |
    | `logging_policy` | str    | `"random"`  | of `collect`: `"random"`, `"max"` or `"mix"`                         |
    | `mdp_seed`       | int    | `0`         | of the tables, which belong to the env and not to `reset(seed=...)`  |
    | `transitions`    | str    | `"softmax"` | `"softmax"`, `"dirichlet"` or `"item"`, see `irecgan_gym.mdp`        |
    | `concentration`  | float  | `0.1`       | of `"dirichlet"`                                                     |
    | `epsilon`        | float  | `0.05`      | noise of `"item"`                                                    |
    | `reward_scale`   | float  | `1.0`       | rewards are scaled per state from 1 down to this                     |
    | `observation`    | str    | `"click"`   | or `"state"`                                                         |
    | `duplicates`     | str    | `"replace"` | or `"error"`                                                         |
    | `mdp`            | tables | `None`      | a `RecommendationMDP` of one's own, in place of drawn tables         |

    ```python
    >>> import gymnasium as gym
    >>> import irecgan_gym
    >>> env = gym.make("RecSim-v0", logging_policy="max")
    >>> observation, info = env.reset(seed=0)
    >>> int(observation)
    50
    >>> env.unwrapped.mdp.rewards.shape
    (10, 50)
    >>> env.unwrapped.collect(3, seed=0).lengths.tolist()
    [2, 6, 17]

    ```

    ## Vectorized environment
    `gym.make_vec("RecSim-v0", num_envs=B)` gives :class:`~irecgan_gym.envs.recsim_vector.RecSimVectorEnv`, which
    steps B users in one call, in any of Gymnasium's autoreset modes.

    ## References
    X. Bai, J. Guan, H. Wang: A Model-Based Reinforcement Learning with Adversarial Training for Online Recommendation.
    NeurIPS 2019. This environment is not Google's RecSim.

    ## Version History
    * v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(
        self,
        *,
        num_states: int = 10,
        num_items: int = 50,
        slate_size: int = 10,
        logging_policy: str = "random",
        mdp_seed: int = 0,
        transitions: TransitionKind = "softmax",
        concentration: float = 0.1,
        epsilon: float = 0.05,
        reward_scale: float = 1.0,
        observation: str = "click",
        duplicates: str = "replace",
        mdp: RecommendationMDP | None = None,
        render_mode: str | None = None,
    ) -> None:
        self._world = RecSimWorld(
            num_states=num_states,
            num_items=num_items,
            slate_size=slate_size,
            logging_policy=logging_policy,
            mdp_seed=mdp_seed,
            transitions=transitions,
            concentration=concentration,
            epsilon=epsilon,
            reward_scale=reward_scale,
            observation=observation,
            duplicates=duplicates,
            mdp=mdp,
        )
        self.mdp = self._world.mdp
        self.num_items = self._world.num_items
        self.slate_size = slate_size
        self.render_mode = render_mode
        self.observation_space = self._world.observation_space
        self.action_space = self._world.action_space
        self._state: np.int64 | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.int64, dict[str, Any]]:
        """Begin a new session; a seed owns all randomness of this and the following sessions."""
        super().reset(seed=seed)
        self._state = np.int64(0)
        click = np.int64(self.num_items)
        return self._observe(click), self._info(self._state, np.full(self.slate_size, -1), click)

    def step(self, action: Any) -> tuple[np.int64, float, bool, bool, dict[str, Any]]:
        """Show a slate to the user."""
        if self._state is None:
            raise ResetNeeded("call reset before step")
        slate = check_slates(action, (self.slate_size,), self.num_items)
        if len(set(slate.tolist())) < self.slate_size:
            slate = distinct_slates(slate[None], self._world.duplicates, self.num_items, self.np_random)[0]
        previous = self._state
        outcome = self._world.law.step(previous, slate, self.np_random.random(self._world.law.UNIFORMS))
        self._state = np.int64(outcome.states)
        click = np.int64(outcome.clicks)
        success = bool(outcome.successes)
        # Time limits are Gymnasium's own (``max_episode_steps``), so nothing is truncated here.
        return self._observe(click), float(success), not success, False, self._info(previous, slate, click)

    def collect(self, num_sessions: int, *, seed: int, max_session_steps: int | None = 40) -> Sessions:
        """Log sessions under ``logging_policy``, with propensities and true states.

        Args:
            num_sessions: how many; sessions of every length are kept.
            seed: of the log; the env's own randomness is not touched.
            max_session_steps: length at which sessions are cut, as in the authors' logs; None never cuts.
        """
        return self._world.collect(num_sessions, seed=seed, max_session_steps=max_session_steps)

    def _observe(self, click: np.int64) -> np.int64:
        assert self._state is not None
        return click if self._world.observation == "click" else self._state

    def _info(self, previous: np.int64, slate: NDArray[np.int64], click: np.int64) -> dict[str, Any]:
        return {"state": self._state, "previous_state": previous, "slate": slate, "click": click}
