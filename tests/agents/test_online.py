"""Acting in the true environment and learning from it, in rounds."""

from dataclasses import asdict, replace

import gymnasium as gym
import numpy as np
import pytest
import torch

from irecgan_gym.agents import PG, PRESET_NAMES
from irecgan_gym.agents.on_policy import OnPolicyUpdates
from irecgan_gym.agents.online import (
    ONLINE_METHODS,
    OnlineConfig,
    OnlineLearner,
    SessionPool,
    learn_in_rounds,
    make_learner,
    online_preset,
)
from irecgan_gym.agents.references.simple import RandomPolicy
from irecgan_gym.agents.returns import offline_rewards
from irecgan_gym.collection import collect
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig

SMALL = EncoderConfig(hidden_size=8, embedding_size=4)


def true_rewards(mdp_seed):
    return gym.make("RecSim-v0", mdp_seed=mdp_seed).get_wrapper_attr("mdp").rewards


class FixedSlate:
    """Shows the same items always, and remembers what it was told."""

    def __init__(self, slate):
        self.slate = np.array(slate)
        self.calls = []

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        self.calls.append((observation.copy(), None if state is None else state[0].copy()))
        return np.tile(self.slate, (len(observation), 1)), (observation.copy(),)


def tiny_config(method):
    """Settings of a test: every phase, each as short as it can be."""
    config = online_preset(method, "fast")
    changes = {"encoder": SMALL, "fit": FitConfig(max_epochs=1, learning_rate=1e-2)}
    if method in ("pg-online&offline", "irecgan"):
        changes |= {"rounds": 1}
    if method == "irecgan":
        changes |= {"user_model_fit": FitConfig(max_epochs=1), "num_rollouts": 2, "pre_training_d_steps": 1}
    return OnlineConfig(replace(config.agent, **changes), sessions_per_update=8)


def learner_of(method, seed=0):
    return make_learner(method, num_items=50, slate_size=10, config=tiny_config(method), seed=seed, device="cpu")


def parameters(learner):
    return torch.cat([value.detach().reshape(-1) for value in learner.agent.policy.parameters()]).clone()


def test_sessions_are_what_was_shown_and_clicked():
    slate = [7, 3, 11, 42, 0, 1, 2, 4, 5, 6]
    sessions = collect(FixedSlate(slate), "RecSim-v0", 50, seed=3, env_kwargs={"mdp_seed": 1})
    assert len(sessions) == 50
    assert (sessions.slate_items.reshape(-1, 10) == slate).all()
    # A reward of 0 ends a session, and nothing else does but the limit of steps.
    last = np.zeros(sessions.num_steps, dtype=bool)
    last[sessions.offsets[1:] - 1] = True
    assert (sessions.rewards[~last] == 1).all()
    assert (sessions.rewards[last] == sessions.truncated).all()
    assert (sessions.states[sessions.offsets[:-1]] == 0).all()
    assert sessions.provenance["mdp_seed"] == 1


def test_rewards_and_clicks_follow_the_true_tables():
    slate = np.arange(10)
    rewards = true_rewards(2)
    sessions = collect(FixedSlate(slate), "RecSim-v0", 4000, seed=0, env_kwargs={"mdp_seed": 2})
    chance = rewards[sessions.states, sessions.clicks]
    # Bernoulli(r(s, a)), within four standard errors.
    error = np.sqrt((chance * (1 - chance)).sum()) / sessions.num_steps
    assert abs(sessions.rewards.mean() - chance.mean()) < 4 * error
    starts = sessions.offsets[:-1]
    share = np.bincount(sessions.clicks[starts], minlength=10)[:10] / len(sessions)
    expected = rewards[0, slate] / rewards[0, slate].sum()
    assert np.abs(share - expected).max() < 4 * np.sqrt(expected.max() / len(sessions))


def test_each_session_sees_its_own_clicks():
    policy = FixedSlate(np.arange(10))
    sessions = collect(policy, "RecSim-v0", 5, seed=1)
    for number, (observation, state) in enumerate(policy.calls):
        for session in np.flatnonzero(sessions.lengths > number):
            step = sessions.offsets[session] + number
            assert observation[session] == sessions.previous_clicks[step]
            if number:
                # The state that the call before returned for this session.
                assert state[session] == sessions.previous_clicks[step - 1]


def test_long_sessions_are_cut_and_marked():
    sessions = collect(RandomPolicy(50, 10), "RecSim-v0", 200, seed=0, max_session_steps=2)
    assert sessions.lengths.max() == 2
    cut = sessions.rewards[sessions.offsets[1:] - 1] == 1
    assert cut.any()
    np.testing.assert_array_equal(sessions.truncated, cut)


def test_the_seed_decides_users_and_slates():
    agent = PG(50, 10, device="cpu")
    first, again, other = (collect(agent, "RecSim-v0", 20, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.slate_items, again.slate_items)
    np.testing.assert_array_equal(first.clicks, again.clicks)
    assert first.slate_items.tolist() != other.slate_items.tolist()


def test_collecting_refuses_no_sessions():
    with pytest.raises(ValueError, match="num_sessions must be at least 1, got 0"):
        collect(RandomPolicy(50, 10), "RecSim-v0", 0, seed=0)


def test_an_update_is_one_step_down_the_gradient_of_reinforce():
    agent = PG(50, 10, device="cpu")
    sessions = collect(agent, "RecSim-v0", 30, seed=0)
    # Step by step and session by session: log pi(c_t) times the discounted rewards to come.
    log_probability = torch.zeros(())
    rewards = offline_rewards(sessions, 3.0)
    for first, end in zip(sessions.offsets[:-1], sessions.offsets[1:], strict=True):
        state = agent.policy.start(1)
        for step in range(first, end):
            chosen = agent.policy.log_probabilities(agent.policy.encoder.output(state))[0, sessions.clicks[step]]
            to_go = sum(0.9 ** (later - step) * rewards[later] for later in range(step, end))
            log_probability = log_probability + float(to_go) * chosen
            state = agent.policy.observe(torch.tensor([int(sessions.clicks[step])]), state)
    head = agent.policy.head.bias
    [expected] = torch.autograd.grad(-log_probability / sessions.num_steps, head)

    before = head.detach().clone()
    # So weak that AdamW's first step, which is the sign of the gradient, is all there is.
    updates = OnPolicyUpdates(agent.policy, FitConfig(learning_rate=1e-3, weight_decay=0.0), gamma=0.9, lambda_r=3.0)
    loss = updates.update(sessions)
    assert loss == pytest.approx(float(-log_probability.detach()) / sessions.num_steps, rel=1e-4)
    clear = expected.abs() > 1e-6
    assert clear.sum() > 10
    torch.testing.assert_close((head.detach() - before)[clear], -1e-3 * expected[clear].sign(), rtol=1e-2, atol=1e-6)


def test_updates_find_the_items_that_users_like():
    agent = PG(50, 10, device="cpu")
    updates = OnPolicyUpdates(agent.policy, FitConfig(learning_rate=2e-2), gamma=0.9, lambda_r=3.0)
    earned = []
    for number in range(15):
        sessions = collect(agent, "RecSim-v0", 200, seed=number)
        earned.append(sessions.rewards.sum() / len(sessions))
        updates.update(sessions)
    assert np.mean(earned[-3:]) > np.mean(earned[:3]) + 0.5


def test_a_pool_keeps_held_out_sessions_apart():
    pool = SessionPool(0.25)
    policy = RandomPolicy(50, 10)
    held_out = 0
    for number in range(3):
        sessions = collect(policy, "RecSim-v0", 8, seed=number)
        # Marks every session: its number is the reward of its steps.
        marks = np.repeat(np.arange(8) + 10.0 * number, sessions.lengths)
        pool.add(sessions.with_rewards(marks), seed=number)
        held_out += 2
        assert len(pool.held_out) == held_out
        training, held = set(pool.training.rewards.tolist()), set(pool.held_out.rewards.tolist())
        assert not training & held
        assert training | held == {10.0 * earlier + one for earlier in range(number + 1) for one in range(8)}


def test_a_pool_needs_two_sessions_a_round():
    pool = SessionPool(0.1)
    with pytest.raises(ValueError, match="at least 2 sessions"):
        pool.add(collect(RandomPolicy(50, 10), "RecSim-v0", 1, seed=0), seed=0)


@pytest.mark.parametrize("method", ONLINE_METHODS)
def test_where_each_method_learns(method):
    learner = learner_of(method)
    start = parameters(learner)
    sessions = learner.online_stage("RecSim-v0", 20, seed=0)
    acted = parameters(learner)
    learner.offline_stage(sessions, seed=0)
    ended = parameters(learner)
    assert torch.equal(start, acted) == (method == "lstm-offline")
    assert torch.equal(acted, ended) == (method == "pg-online")
    assert len(sessions) == 20


@pytest.mark.parametrize("method", ONLINE_METHODS)
def test_rounds_are_the_same_with_the_same_seed(method):
    runs = []
    for _ in range(2):
        records = []

        class Recorder:
            def record(self, values, step, records=records):
                records.append((step, dict(values)))

        learner = learner_of(method)
        played = list(
            learn_in_rounds(
                learner,
                "RecSim-v0",
                rounds=2,
                sessions_per_round=12,
                seed=5,
                env_kwargs={"mdp_seed": 1},
                recorder=Recorder(),
            )
        )
        runs.append((played, records, parameters(learner)))
    (first, records, weights), (second, _, again) = runs
    assert [one.number for one in first] == [1, 2]
    assert [step for step, _ in records] == [1, 2]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.sessions.slate_items, other.sessions.slate_items)
        np.testing.assert_array_equal(one.sessions.rewards, other.sessions.rewards)
    torch.testing.assert_close(weights, again, rtol=0, atol=0)
    names = {name.split("/")[0] for _, values in records for name in values}
    assert ("online" in names) == (method != "lstm-offline")
    assert ("disc" in names) == (method == "irecgan")


def test_rounds_have_users_of_their_own():
    learner = OnlineLearner(RandomPolicy(50, 10), 20)
    first, second = learn_in_rounds(learner, "RecSim-v0", rounds=2, sessions_per_round=30, seed=0)
    assert first.sessions.slate_items.tolist() != second.sessions.slate_items.tolist()


def test_methods_with_the_same_seed_begin_with_the_same_policy():
    learners = [learner_of(method, seed=4) for method in ("pg-online", "pg-online&offline", "irecgan")]
    for learner in learners[1:]:
        torch.testing.assert_close(parameters(learner), parameters(learners[0]), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["fast", "paper"])
@pytest.mark.parametrize("method", ONLINE_METHODS)
def test_offline_stages_of_the_presets_are_short(method, name):
    config = online_preset(method, name)
    assert config.agent.fit.max_epochs == 2
    if method in ("pg-online&offline", "irecgan"):
        assert config.agent.rounds == 3
    if method == "irecgan":
        assert config.agent.user_model_fit.max_epochs == 5
        assert config.agent.discriminator_fit.max_epochs == 1
        assert config.agent.pre_training_d_steps == 3


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_offline_stages_of_pg_and_irecgan_are_alike(name):
    # The control of Figure 3: the same policy, trained as long.
    pg, irecgan = (asdict(online_preset(method, name).agent) for method in ("pg-online&offline", "irecgan"))
    assert pg == {key: irecgan[key] for key in pg}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"sessions_per_update": 0}, "sessions_per_update must be at least 1"),
        ({"validation_fraction": 1.0}, "validation_fraction must be between 0 and 1"),
    ],
)
def test_senseless_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        OnlineConfig(None, **changes)


def test_an_unknown_method_is_named():
    with pytest.raises(ValueError, match=r"method must be one of .* got 'pg'"):
        online_preset("pg", "fast")
