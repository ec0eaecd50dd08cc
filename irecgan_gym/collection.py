"""Play sessions of a policy in an env: the one loop behind logs of any policy, evaluation, generation and reports."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import gymnasium as gym
import numpy as np
from gymnasium.spaces import MultiDiscrete
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from irecgan_gym.sessions import Catalogue, Sessions
from irecgan_gym.settings import check_count, check_seed

if TYPE_CHECKING:
    from irecgan_gym.envs.user_model_device import UsersOnDevice


@runtime_checkable
class SlatePredictor(Protocol):
    """Anything that chooses slates as Stable-Baselines3's algorithms choose actions: all that is asked of a policy.

    Three more things are used where a policy has them: ``set_random_seed(seed)`` is called before the first session;
    ``observes = "state"`` asks for the true states of the users, from the env's ``info``, in place of observations; and
    ``select(state, rows)``, which returns the state of some sessions alone, lets finished sessions leave the batch.
    """

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], Any]:
        """Choose slates.

        Args:
            observation: last click of each session, [B] (``num_items`` for none yet).
            state: what the last call returned; None at the start.
            episode_start: where a new session begins, so that the state starts over; bool [B].
            deterministic: whether to choose the best slate, or to draw one.

        Returns:
            Slates int64 [B, k], and the state for the next call: None, an array, or a tuple of arrays.
        """


def collect(
    policy: SlatePredictor,
    env: str | VectorEnv[Any, Any, Any],
    num_sessions: int,
    seed: int | None,
    *,
    deterministic: bool = False,
    max_session_steps: int | None = 40,
    num_envs: int | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
) -> Sessions:
    """Deploy a policy in an env and keep what was shown, clicked and earned.

    Args:
        policy: chooses the slates.
        env: id of a registered env, or a vector env in the ``NEXT_STEP`` autoreset mode, which is left open; its infos
            must hold ``slate`` and ``click``.
        num_sessions: S.
        seed: of the users and of the sampled slates; None leaves their generators as they are.
        deterministic: True shows the top k items, False slates sampled from the policy.
        max_session_steps: steps after which a session of an env made from its id is cut; None never cuts. The default
            is that of :meth:`irecgan_gym.envs.recsim.RecSimEnv.collect`, so that logs are of one kind.
        num_envs: slots of an env made from its id, each of which plays one session after the other; one slot for every
            session when None.
        env_kwargs: arguments of an env made from its id.

    Returns:
        The sessions, in the order of the slots where each has a slot of its own, and else in the order in which they
        ended; with the true states where the env tells them.

    Raises:
        ValueError: ``num_sessions`` below 1, another autoreset mode, arguments of a made env together with a given env,
            an env whose infos tell neither slate nor click, or a policy that observes states where there are none.
    """
    check_count("num_sessions", num_sessions)
    seed = check_seed(seed)
    if max_session_steps is not None:
        check_count("max_session_steps", max_session_steps)
    if num_envs is not None:
        check_count("num_envs", num_envs)
    if not isinstance(env, str):
        if env_kwargs is not None or num_envs is not None:
            raise ValueError("env_kwargs and num_envs are for an env made from its id, not for a given one")
        played = play(policy, env, num_sessions, seed, deterministic=deterministic)
        return played.sessions({"source": None if env.spec is None else env.spec.id, "seed": seed})
    slots = num_sessions if num_envs is None else min(num_envs, num_sessions)
    made = gym.make_vec(env, num_envs=slots, max_episode_steps=max_session_steps, **(env_kwargs or {}))
    try:
        played = play(policy, made, num_sessions, seed, deterministic=deterministic, one_each=num_envs is None)
    finally:
        made.close()
    provenance = {"source": env, "seed": seed, "max_session_steps": max_session_steps, **(env_kwargs or {})}
    return played.sessions({name: value for name, value in provenance.items() if _is_json(value)})


@dataclass(frozen=True, eq=False)
class PlayedSessions:
    """Every step of S sessions as the env told it, T steps in all, one session behind the other.

    Attributes:
        num_items: size of the catalogue, and the click of a user who left; None where the env does not tell.
        lengths: steps of each session; int64 [S].
        rewards: of each step; float64 [T].
        truncated: whether a session was cut and not ended by its user; bool [S].
        infos: what the env's infos told of each step under ``slate`` [T, k] and ``click`` [T]; empty where they do not.
        states: the true state before each step, [T]; None where the infos hold no ``state``.
        catalogue: the items of the env; None where it does not tell their number.
    """

    num_items: int | None
    lengths: NDArray[np.int64]
    rewards: NDArray[np.float64]
    truncated: NDArray[np.bool_]
    infos: Mapping[str, NDArray[Any]]
    states: NDArray[Any] | None
    catalogue: Catalogue | None = None

    @property
    def session_rewards(self) -> NDArray[np.float64]:
        """Cumulative reward of each session, float64 [S]."""
        return np.add.reduceat(self.rewards, np.cumsum(self.lengths) - self.lengths)

    def sessions(self, provenance: Mapping[str, Any]) -> Sessions:
        """Return the steps as checked sessions.

        Args:
            provenance: kept with the sessions, JSON-compatible.

        Raises:
            ValueError: the env told neither slate nor click, or what it told is no session.
        """
        for name in ("slate", "click"):
            if name not in self.infos:
                raise ValueError(f"the env's info has no {name!r}, which logged sessions need; it has {[*self.infos]}")
        if self.num_items is None:
            raise ValueError(
                "the env tells no number of items: it needs an attribute num_items or MultiDiscrete slates"
            )
        known = self.states is not None and self.states.ndim == 1 and self.states.dtype.kind in "iu"
        return Sessions.from_columns(
            num_items=self.num_items,
            lengths=self.lengths,
            slates=self.infos["slate"],
            clicks=self.infos["click"],
            rewards=self.rewards,
            truncated=self.truncated,
            states=self.states if known else None,
            item_names=None if self.catalogue is None else self.catalogue.names,
            provenance=provenance,
        )

    def trusted_sessions(self, provenance: Mapping[str, Any]) -> Sessions:
        """Return the steps of users who answer as sessions must be, without checking every entry.

        Args:
            provenance: kept with the sessions, JSON-compatible.
        """
        assert self.num_items is not None
        slates = self.infos["slate"].astype(np.int32)
        return Sessions(
            num_items=self.num_items,
            offsets=np.concatenate([[0], np.cumsum(self.lengths)]),
            slate_offsets=np.arange(len(slates) + 1, dtype=np.int64) * slates.shape[1],
            slate_items=slates.reshape(-1),
            clicks=self.infos["click"].astype(np.int32),
            rewards=self.rewards.astype(np.float32),
            truncated=self.truncated,
            provenance=provenance,
        )


def play(
    policy: SlatePredictor,
    env: VectorEnv[Any, Any, Any] | UsersOnDevice,
    num_sessions: int,
    seed: int | None,
    *,
    deterministic: bool,
    one_each: bool = False,
    user_streams: bool = False,
) -> PlayedSessions:
    """Play sessions, step by step, and return everything that the env told of them.

    Args:
        policy: chooses the slates.
        env: a vector env in the ``NEXT_STEP`` autoreset mode, or
            :class:`~irecgan_gym.envs.user_model_device.UsersOnDevice` with a policy that takes and gives tensors.
        num_sessions: S.
        seed: of env and policy; None leaves their generators as they are.
        deterministic: passed on to the policy.
        one_each: whether every slot plays one session: the slots of sessions that have ended leave the batch, where the
            env can ``branch`` and the policy can ``select``, and else play on without being kept. If not, slots begin
            one session after the other; how many is fixed beforehand, so that slots with short sessions do not fill up
            the sample.
        user_streams: whether every user has a stream of randomness, where the env says in its ``metadata`` that it can
            give them one (:class:`~irecgan_gym.envs.recsim_vector.RecSimVectorEnv`): all policies meet the same users.

    Returns:
        The sessions: those of users with streams in the order of the users, those of ``one_each`` in the order of the
        slots, and others in the order in which they ended.

    Raises:
        ValueError: ``num_sessions`` below 1, another autoreset mode, or a policy that observes states in an env whose
            users have none.
    """
    check_count("num_sessions", num_sessions)
    if env.metadata.get("autoreset_mode") != AutoresetMode.NEXT_STEP:
        raise ValueError(f"the vector env must reset on the next step, got {env.metadata.get('autoreset_mode')}")
    users_seed, seed = None, check_seed(seed)
    if seed is not None:
        users_seed, slates_seed = (int(word) for word in np.random.SeedSequence(seed).generate_state(2))
        if hasattr(policy, "set_random_seed"):
            policy.set_random_seed(slates_seed)
    catalogue = _catalogue(env)
    known = getattr(policy, "catalogue", None)
    if catalogue is not None and isinstance(known, Catalogue):
        known.check_agrees(catalogue, "the policy", "the env")
    slots = env.num_envs
    leaving = one_each and hasattr(env, "branch") and hasattr(policy, "select")
    observes_states = getattr(policy, "observes", "click") == "state"
    own_streams = user_streams and seed is not None and bool(env.metadata.get("user_streams"))
    # Sessions that each slot has still to play, the current one included, and the number of that one.
    remaining = (num_sessions + np.arange(slots)[::-1]) // slots
    session: Any = np.arange(slots)
    begun = slots
    steps: list[dict[str, Any]] = []
    finished: list[NDArray[np.int64]] = []
    observation: Any
    slates: Any
    observation, info = env.reset(seed=users_seed, **({"options": {"user_streams": True}} if own_streams else {}))
    if not isinstance(observation, np.ndarray) and leaving:
        session = _as_tensor(session, observation.device)
    state: Any = None
    episode_start = np.ones(slots, dtype=bool)
    ended: Any = np.zeros(slots, dtype=bool)
    while True:
        seen = _true_states(info) if observes_states else observation
        slates, state = policy.predict(seen, state, episode_start, deterministic)
        before = info
        if own_streams:
            session = before["user"]
        observation, rewards, terminated, truncated, info = env.step(slates)
        columns = {"session": session, "reward": rewards, "cut": truncated & ~terminated}
        columns |= {name: info[name] for name in ("slate", "click") if name in info}
        if "state" in before:
            columns["state"] = before["state"]
        if leaving:
            # Every slot plays the session that it began with, and is in the batch for as long as that lasts.
            steps.append(columns)
            going = _rows_of(~(terminated | truncated))
            if len(going) == 0:
                break
            episode_start = np.zeros(len(going), dtype=bool)
            if len(going) < len(session):
                session, observation = session[going], observation[going]
                info = {name: column[going] for name, column in info.items()}
                state, env = policy.select(state, going), env.branch(going)  # type: ignore[attr-defined, union-attr]
            continue
        # A slot whose session had ended was reset by this step: its action was ignored. Where every slot has one
        # session, no other begins in it.
        episode_start = np.zeros(len(ended), dtype=bool) if one_each else ended
        counted = ~ended & (remaining > 0)
        ended = terminated | truncated
        steps.append({name: column[counted] for name, column in columns.items()})
        done = counted & ended
        finished.append(session[done])
        remaining[done] -= 1
        if not remaining.any():
            break
        if not one_each and not own_streams:
            again = done & (remaining > 0)
            session = np.where(again, begun + np.cumsum(again) - 1, session)
            begun += int(again.sum())

    if not one_each and not own_streams:
        number_of = np.empty(begun, dtype=np.int64)
        number_of[np.concatenate(finished)] = np.arange(num_sessions)
        steps = [{**step, "session": number_of[step["session"]]} for step in steps]
    column = _by_session(steps)
    lengths = np.bincount(column["session"], minlength=num_sessions)
    return PlayedSessions(
        num_items=None if catalogue is None else catalogue.num_items,
        catalogue=catalogue,
        lengths=lengths,
        rewards=column["reward"],
        truncated=column["cut"][np.cumsum(lengths) - 1],
        infos={name: column[name] for name in ("slate", "click") if name in column},
        states=column.get("state"),
    )


def _rows_of(flags: Any) -> Any:
    """Numbers of the rows whose flag is True, as an array of the same library and device."""
    return np.flatnonzero(flags) if isinstance(flags, np.ndarray) else flags.nonzero().squeeze(1)


def _as_tensor(numbers: NDArray[Any], device: Any) -> Any:
    import torch

    return torch.from_numpy(numbers).to(device)


def _by_session(steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Columns of all steps, one session behind the other; tensors are put in order where they are."""
    parts = {name: [step[name] for step in steps] for name in steps[0]}
    if isinstance(parts["session"][0], np.ndarray):
        joined = {name: np.concatenate(arrays) for name, arrays in parts.items()}
        order = np.argsort(joined["session"], kind="stable")
        return {name: values[order] for name, values in joined.items()}
    import torch

    rows = torch.cat(parts["session"]).argsort(stable=True)
    return {name: torch.cat(tensors)[rows].cpu().numpy() for name, tensors in parts.items()}


def _catalogue(env: Any) -> Catalogue | None:
    """The catalogue: the env's own word, or one of as many items as its action space has."""
    bare = getattr(env, "unwrapped", env)
    own = getattr(bare, "catalogue", None)
    if isinstance(own, Catalogue):
        return own
    num_items = getattr(bare, "num_items", None)
    if num_items is None and isinstance(env.single_action_space, MultiDiscrete):
        num_items = env.single_action_space.nvec.flat[0]
    return None if num_items is None else Catalogue(int(num_items))


def _true_states(info: Mapping[str, Any]) -> NDArray[np.int64]:
    if "state" not in info:
        raise ValueError(f"the policy observes true states, but the env's info holds only {sorted(info)}")
    states: NDArray[np.int64] = info["state"]
    return states


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
