"""``RecSim-v0``: the simulated online test of IRecGAN (§7.1) as an environment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.spaces import Discrete, MultiDiscrete
from numpy.typing import ArrayLike, NDArray

from irecgan_gym._version import __version__
from irecgan_gym.collection import SlatePredictor, collect
from irecgan_gym.envs.recsim_collect import collect_sessions
from irecgan_gym.envs.recsim_dynamics import DRAWS_PER_STEP, UserDynamics
from irecgan_gym.envs.rendered_env import RenderedEnv
from irecgan_gym.logging_policies import make_logging_policy
from irecgan_gym.mdp import START_STATE, RecommendationMDP, as_mdp, check_count, draw_mdp
from irecgan_gym.rendering.session_view import SlateView
from irecgan_gym.sessions import Sessions
from irecgan_gym.settings import check_seed, checked_value
from irecgan_gym.slates import check_slates, fill_repeats, raise_repeated

_INT64 = np.dtype(np.int64)

_NOT_SHOWN = np.int64(-1)
"""State in which a slate was shown, where none has been."""


class RecSimEnv(RenderedEnv[np.int64, NDArray[np.int64]]):
    r"""Recommend slates of items to a simulated user whose state is hidden.

    ## Description
    The simulated online test of Bai, Guan and Wang (NeurIPS 2019, §7.1). A user is in one of m hidden states. Shown a
    slate of k items, the user clicks one, in proportion to the items' rewards r(s, a) in the state; the click succeeds
    with probability r(s, a). After a success the user moves to another state, drawn from P(. | s, a), and wants
    another slate; after a failure the session is over. The tables are drawn once, from `mdp_seed`, and are
    `env.unwrapped.mdp`.

    Three ids are registered, which differ in what can be learnt from clicks and gained by planning:

    | Id                     | Transitions                                          | Rewards                          |
    |------------------------|------------------------------------------------------|----------------------------------|
    | `RecSim-v0`            | `"softmax"`, the paper's: nearly uniform             | U(0, 1]                          |
    | `RecSim-Observable-v0` | `"item"`, `epsilon=0.05`: clicks reveal the state    | U(0, 1]                          |
    | `RecSim-Planning-v0`   | the same                                             | times 1 to 0.1, by state         |

    ## Action Space
    `MultiDiscrete([n] * k)`: the slate, k item ids. Users always see k different items: a slot that repeats an earlier
    item is filled with a random other item (`duplicates="error"` refuses instead). Without this rule a slate of one
    excellent item would beat every honest one, since the user must click.

    ## Observation Space
    `Discrete(n + 1)`: the last click. `n` stands for "no click yet", at the start of a session.

    | Num | Observation       | Min | Max |
    |-----|-------------------|-----|-----|
    | 0   | last clicked item | 0   | n   |

    With `observation="state"`, for oracles, it is `Discrete(m)`: the user's state. Histories of clicks come from
    Gymnasium's wrapper `FrameStackObservation`.

    ## Rewards
    1 for a click that succeeds, 0 for one that fails.

    ## Starting State
    State 0 (s_0 of the paper), no click yet. Nothing is random in it.

    ## Episode End
    1. Termination: a click fails. The user did click, so the last observation is the clicked item (with
       `observation="state"`, the state, which does not change).
    2. Truncation: only by `max_episode_steps` of `gymnasium.make`; there is no limit by default.

    ## Information
    `reset` and `step` give the same keys:

    | Key              | After `step`                                    | After `reset` |
    |------------------|-------------------------------------------------|---------------|
    | `state`          | the user's state now                            | 0             |
    | `shown_in_state` | the state in which this step's slate was shown  | -1            |
    | `slate`          | the items shown, int64 [k]                      | -1 throughout |
    | `click`          | the item clicked                                | n             |

    ## Arguments
    | Parameter        | Type  | Default     | Description                                                         |
    |------------------|-------|-------------|---------------------------------------------------------------------|
    | `num_states`     | int   | `10`        | m                                                                   |
    | `num_items`      | int   | `50`        | n                                                                   |
    | `slate_size`     | int   | `10`        | k, at most n                                                        |
    | `logging_policy` | str   | `"random"`  | `"random"`, `"max"` or `"mix"`: shows the slates of `collect`       |
    | `mdp_seed`       | int   | `0`         | of the tables; `reset(seed=...)` owns what happens in sessions      |
    | `transitions`    | str   | `"softmax"` | or `"dirichlet"` or `"item"`, see :func:`irecgan_gym.mdp.draw_mdp`  |
    | `concentration`  | float | `0.1`       | of `"dirichlet"`                                                    |
    | `epsilon`        | float | `0.05`      | noise of `"item"`                                                   |
    | `reward_scale`   | float | `1.0`       | factor of the rewards in the worst state, see there                 |
    | `observation`    | str   | `"click"`   | or `"state"`                                                        |
    | `duplicates`     | str   | `"replace"` | or `"error"`: a repeated item is refused                            |
    | `mdp`            | tables | `None`     | your own, `(rewards, transitions)` or a `RecommendationMDP`         |
    | `render_mode`    | str   | `None`      | `"ansi"`, `"rgb_array"` or `"human"`, see Rendering                 |

    With `mdp`, the arguments that draw tables have no effect: `num_states`, `num_items`, `mdp_seed`, `transitions`,
    `concentration`, `epsilon` and `reward_scale`. Tables are rewards r(s, a) in (0, 1], [m, n], and transitions
    P(s' | s, a), [m, n, m], whose rows add up to 1. Other sizes need no tables: `gym.make("RecSim-v0",
    num_states=20, num_items=500, slate_size=5)`.

    ```python
    >>> import gymnasium as gym
    >>> import irecgan_gym
    >>> env = gym.make("RecSim-v0", logging_policy="max")
    >>> observation, info = env.reset(seed=0)
    >>> int(observation)
    50
    >>> slate = env.unwrapped.mdp.ranked_items()[0, :10]
    >>> click, reward, terminated, truncated, info = env.step(slate)
    >>> bool(click in slate), int(info["shown_in_state"])
    (True, 0)
    >>> env.unwrapped.collect(100, seed=0).num_items
    50

    ```

    ## Rendering
    The last slate with each item's probability of a click and of a reward, r(s, a), in the state in which it was shown;
    the click and its outcome; the state before and after; the clicks and rewards of the session. `"ansi"` is text,
    `"rgb_array"` a frame of 640 x 960 pixels, `"human"` a window with the same frame, two steps a second. Frames need
    Pillow, windows pygame too (`pip install "irecgan-gym[render]"`). Rendering draws no random numbers. Vector envs
    made with `vectorization_mode="sync"` can render; the native one cannot.

    ## Vectorized environment
    `gym.make_vec("RecSim-v0", num_envs=B)` gives :class:`~irecgan_gym.envs.recsim_vector.RecSimVectorEnv`, which steps
    B users in one call by the same dynamics. With numba (`pip install "irecgan-gym[speed]"`) its steps are machine
    code; without it they are NumPy's, slower and the same to the last bit. With
    `reset(seed=..., options={"user_streams": True})` every user has a stream of random numbers, so that all policies
    meet the same users; `info["user"]` is then the user's number.

    ## References
    X. Bai, J. Guan, H. Wang: A Model-Based Reinforcement Learning with Adversarial Training for Online Recommendation.
    NeurIPS 2019.

    ## Version History
    * v0: first version.
    """

    def __init__(
        self,
        *,
        num_states: int = 10,
        num_items: int = 50,
        slate_size: int = 10,
        logging_policy: str = "random",
        mdp_seed: int = 0,
        transitions: str = "softmax",
        concentration: float = 0.1,
        epsilon: float = 0.05,
        reward_scale: float = 1.0,
        observation: str = "click",
        duplicates: str = "replace",
        mdp: RecommendationMDP | tuple[ArrayLike, ArrayLike] | None = None,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(render_mode)
        drawing: dict[str, Any] = {
            "num_states": num_states,
            "num_items": num_items,
            "mdp_seed": mdp_seed,
            "transitions": transitions,
            "concentration": concentration,
            "epsilon": epsilon,
            "reward_scale": reward_scale,
        }
        self._drawing: dict[str, Any] | None = None
        if mdp is None:
            mdp = draw_mdp(**drawing)
            # Plain numbers: they are written down with the sessions, as JSON.
            self._drawing = {name: np.asarray(value).item() for name, value in drawing.items()}
        mdp = as_mdp(mdp)
        checked_value("observation", observation, Literal["click", "state"])
        checked_value("duplicates", duplicates, Literal["replace", "error"])
        self.mdp = mdp
        self.num_items = mdp.num_items
        self.slate_size = check_count("slate_size", slate_size, 1)
        self.logging_policy = logging_policy
        self.duplicates = duplicates
        self.observation = observation
        self.dynamics = UserDynamics(mdp)
        self._policy = make_logging_policy(logging_policy, mdp, self.slate_size)
        self.observation_space = Discrete(mdp.num_states if observation == "state" else mdp.num_items + 1)
        self.action_space = MultiDiscrete([mdp.num_items] * self.slate_size)
        self._state = START_STATE
        self._shape = (self.slate_size,)
        self._nothing_shown: NDArray[np.int64] = np.full(self.slate_size, -1, dtype=np.int64)
        self._catalogue = frozenset(range(mdp.num_items))
        self._in_session = False
        # NumPy's own integers, ready to be looked up: their constructor takes longer.
        self._numbers: NDArray[np.int64] = np.arange(max(mdp.num_items + 1, mdp.num_states), dtype=np.int64)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.int64, dict[str, Any]]:
        """Begin a new session; a seed owns all randomness of this and the following sessions.

        Args:
            seed: of the generator of the users' choices; None goes on with the present one.
            options: none are known.
        """
        super().reset(seed=check_seed(seed))
        self._state = START_STATE
        self._in_session = True
        if self.screen is not None:
            self.screen.begin(self.title, str(START_STATE))
        return self._report(self.num_items, self._nothing_shown.copy(), -1)

    def step(self, action: NDArray[np.int64]) -> tuple[np.int64, float, bool, bool, dict[str, Any]]:
        """Show a slate to the user.

        Args:
            action: item ids, [k].

        Raises:
            ValueError: a wrong shape or type, an id out of range, or a repeated item with ``duplicates="error"``.
            gymnasium.error.ResetNeeded: there is no session going on.
        """
        if not self._in_session:
            raise ResetNeeded("no session is going on: call reset before the first step and after the end of a session")
        shown = self._checked(action)
        slate: list[int] = shown.tolist()
        distinct = set(slate)
        if not self._catalogue.issuperset(distinct):
            check_slates(action, self._shape, self.num_items)
        repeats = len(slate) - len(distinct)
        if repeats and self.duplicates == "error":
            raise_repeated(slate)
        draws = self.np_random.random(DRAWS_PER_STEP + repeats).tolist()
        if repeats:
            for slot in fill_repeats(slate, distinct, draws[DRAWS_PER_STEP:], self.num_items):
                shown[slot] = slate[slot]
        shown_in_state = self._state
        click, success, self._state = self.dynamics.respond_one(shown_in_state, slate, draws)
        self._in_session = success
        if self.screen is not None:
            view = self._slate_view(shown_in_state, slate, click, success)
            self.screen.add(view, not success, f"{shown_in_state} -> {self._state}")
        observation, info = self._report(click, shown, shown_in_state)
        # Time limits are Gymnasium's own (``max_episode_steps``), so nothing is truncated here.
        return observation, float(success), not success, False, info

    def collect(
        self,
        num_sessions: int,
        seed: int,
        *,
        max_session_steps: int | None = 40,
        policy: SlatePredictor | None = None,
        deterministic: bool = False,
        slate_propensities: bool = False,
    ) -> Sessions:
        """Log new sessions under the env's logging policy; the session of ``reset`` and ``step`` goes on untouched.

        Every step is logged, the failing one (reward 0) included. Propensities are the probabilities that the clicked
        item is in the slate; of a policy of your own they are not known.

        Args:
            num_sessions: number of sessions.
            seed: of everything that happens in them.
            max_session_steps: sessions are cut after so many steps, and then ``truncated``; None cuts none.
            policy: shows the slates in place of the logging policy (see :func:`irecgan_gym.collection.collect`).
            deterministic: passed on to ``policy``: True shows its best slates, False slates that it draws.
            slate_propensities: whether the logging policy's exact probabilities of whole slates and of each place,
                given the true state, are logged too; of a policy of your own, its own methods tell them.

        Raises:
            ValueError: an argument out of its range, or sessions that need not end.
        """
        if slate_propensities and policy is not None:
            raise ValueError(
                "slate_propensities=True is for the env's logging policy: of a policy of your own, take what it says, "
                "sessions.with_slate_propensities(agent.evaluation_policy().propensities(sessions))"
            )
        sessions = self.collect_as(self.spec, num_sessions, seed, max_session_steps, policy, deterministic)
        if not slate_propensities:
            return sessions
        return sessions.with_slate_propensities(self._policy.slate_propensities(sessions))

    def collect_as(
        self,
        spec: gym.envs.registration.EnvSpec | None,
        num_sessions: int,
        seed: int,
        max_session_steps: int | None,
        policy: SlatePredictor | None = None,
        deterministic: bool = False,
    ) -> Sessions:
        """Log sessions as :meth:`collect` does, with the id of ``spec`` (a vector env's, for one) in the provenance."""
        num_sessions = check_count("num_sessions", num_sessions, 1)
        seed = check_count("seed", seed, 0)
        if max_session_steps is not None:
            max_session_steps = check_count("max_session_steps", max_session_steps, 1)
        elif ((self.mdp.rewards == 1).sum(axis=1) >= self.slate_size).any():
            raise ValueError("max_session_steps=None: where a whole slate has rewards of 1, sessions need not end")
        provenance = {
            "source": "RecSim",
            "env_id": None if spec is None else spec.id,
            "slate_size": self.slate_size,
            "mdp": self._drawing,
            "mdp_sha256": self.mdp.digest(),
            "logging_policy": self.logging_policy if policy is None else type(policy).__name__,
            "seed": seed,
            "max_session_steps": max_session_steps,
            "irecgan_gym_version": __version__,
        }
        if policy is not None:
            sessions = collect(
                policy,
                "RecSim-v0",
                num_sessions,
                seed,
                deterministic=deterministic,
                max_session_steps=max_session_steps,
                env_kwargs={
                    "mdp": self.mdp,
                    "slate_size": self.slate_size,
                    "observation": self.observation,
                    "duplicates": self.duplicates,
                },
            )
            return replace(sessions, provenance=provenance)
        return collect_sessions(
            self.dynamics,
            self._policy,
            num_sessions,
            np.random.default_rng(seed),
            max_session_steps=max_session_steps,
            provenance=provenance,
        )

    def _checked(self, action: NDArray[np.int64]) -> NDArray[np.int64]:
        """A copy of the action, whose form is right; of usual arrays, ids are not checked."""
        if type(action) is np.ndarray and action.dtype == _INT64 and action.shape == self._shape:
            return action.copy()
        return check_slates(action, self._shape, self.num_items).copy()

    def _slate_view(self, state: int, slate: list[int], click: int, success: bool) -> SlateView:
        """Return the picture of a slate for :meth:`render`."""
        rewards = self.mdp.rewards[state, slate]
        return SlateView(
            items=tuple(slate),
            click_chances=tuple((rewards / rewards.sum()).tolist()),
            reward_chances=tuple(rewards.tolist()),
            leave_chance=None,
            click=click,
            reward=float(success),
        )

    def _report(self, click: int, slate: NDArray[np.int64], shown_in_state: int) -> tuple[np.int64, dict[str, Any]]:
        """Observation and info of the present moment."""
        numbers = self._numbers
        state, clicked = numbers[self._state], numbers[click]
        shown = numbers[shown_in_state] if shown_in_state >= 0 else _NOT_SHOWN
        info = {"state": state, "shown_in_state": shown, "slate": slate, "click": clicked}
        return state if self.observation == "state" else clicked, info
