"""Pre-training that several agents share: that of a policy from offline data alone, and that of a user model.

Networks and their training are drawn from streams that have the same names in all agents, so agents of one seed and the
same settings pre-train the same networks, bit for bit; :func:`start_from` takes them over instead.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from irecgan_gym.agents.policy_agent import PolicyAgent, UserModelSettings
from irecgan_gym.agents.policy_gradient import fit_policy
from irecgan_gym.agents.returns import Objective, Reinforce, Returns
from irecgan_gym.agents.treatment import Dose
from irecgan_gym.models.fitting import fit_user_model
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.models.user_model import UserModel
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions.dataset import SessionLog


class DifferentStart(ValueError):
    """Refusal of a start that an agent would not come to by itself."""


def start_from(
    agent: PolicyAgent[Any], *, policy: PolicyAgent[Any] | None = None, user_model: PolicyAgent[Any] | None = None
) -> None:
    """Let an agent take over what others have learned from the same sessions, in place of learning it again.

    Args:
        agent: has learned nothing yet.
        policy: a trained PG, or a trained AC for agents with a critic.
        user_model: a trained LSTM.

    Raises:
        DifferentStart: an agent of another seed, or of networks or settings by which it would learn something else.
    """
    if policy is not None:
        names = {field.name: field.name for field in fields(policy.config)}
        _check_source(agent, policy, "policy", names)
        agent.sources["policy"] = policy
    if user_model is not None:
        names = {field.name: field.name for field in fields(UserModelSettings)} | {"fit": "user_model_fit"}
        _check_source(agent, user_model, "user_model", names)
        if user_model.config.selection != "likelihood":
            raise DifferentStart(f"{agent.kind} cannot start from {user_model.kind}: an estimate has chosen its epoch")
        agent.sources["user_model"] = user_model


def _check_source(agent: PolicyAgent[Any], source: PolicyAgent[Any], network: str, names: dict[str, str]) -> None:
    """Refuse a source that is not what the agent would become; settings by their names in source and agent."""
    refusal = f"{agent.kind} cannot start from {source.kind}"
    there, here = (type(each.networks().get(network)).__name__ for each in (source, agent))
    if there != here or not all(hasattr(agent.config, own) for own in names.values()):
        raise DifferentStart(f"{refusal}: it learns no such {network}")
    alike = [(name, getattr(source, name), getattr(agent, name)) for name in ("seed", "num_items", "slate_size")]
    alike += [(name, getattr(source.config, name), getattr(agent.config, own)) for name, own in names.items()]
    for name, theirs, own in alike:
        if theirs != own:
            raise DifferentStart(f"{refusal}: {name} is {theirs} there, {own} here")
    if (source.lessons, agent.lessons) != (1, 0):
        times = f"{source.kind} has learned {source.lessons} times, {agent.kind} {agent.lessons}"
        raise DifferentStart(f"{refusal}: {times}, not once and never")


def pre_train_user_model(
    agent: PolicyAgent[Any], model: UserModel, offline: SessionLog, held_out: SessionLog, recorder: Recorder
) -> None:
    """Pre-train the user model of an agent by Eq 3 (line 3 of Algorithm 1)."""
    if "user_model" in agent.sources:
        model.load_state_dict(agent.sources["user_model"].networks()["user_model"].state_dict())
        return
    fit, seed = agent.config.user_model_fit, agent._seed("user_model_training")
    fit_user_model(offline, held_out, model, fit, seed=seed, recorder=recorder, schedule=agent._schedule)


def pre_train_policy(
    agent: PolicyAgent[Any],
    policy: SlatePolicy,
    data: Returns,
    held_out: Returns,
    recorder: Recorder,
    objective: Objective | None = None,
) -> Dose:
    """Pre-train the policy of an agent by Eq 10 with offline data alone (line 4), and return its dose.

    Args:
        agent: its settings and streams of randomness.
        policy: its policy, which learns in place.
        data: offline sessions with their returns.
        held_out: sessions that choose the epoch.
        recorder: receives ``train/*`` once an epoch.
        objective: the loss; :class:`~irecgan_gym.agents.returns.Reinforce` when None.
    """
    if "policy" in agent.sources:
        policy.load_state_dict(agent.sources["policy"].networks()["policy"].state_dict())
        return Dose.of(agent.sources["policy"].treatment)
    objective, rng = Reinforce() if objective is None else objective, agent._rng("policy_pre_training")
    return fit_policy(
        policy,
        data,
        held_out,
        agent.config,
        generator=rng,
        objective=objective,
        recorder=recorder,
        schedule=agent._schedule,
    )
