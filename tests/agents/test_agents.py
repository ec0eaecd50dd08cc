import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.evaluation import evaluate_policy

import irecgan_gym  # noqa: F401 (registers the envs)
from irecgan_gym.agents import (
    AGENT_NAMES,
    PG,
    ACConfig,
    ACUConfig,
    IRecGANConfig,
    LSTMConfig,
    LSTMDConfig,
    PGCConfig,
    PGConfig,
    PGISConfig,
    PGUConfig,
    agent_class,
    make_agent,
    preset,
)
from irecgan_gym.agents.generation import generate_adversarial_sessions, generate_sessions
from irecgan_gym.agents.returns import ReturnSettings
from irecgan_gym.models.encoder import EncoderConfig
from irecgan_gym.models.fitting import FitConfig
from irecgan_gym.models.sequence_score import SequenceScore
from irecgan_gym.storage.weights import StorageError
from irecgan_gym.wrappers.adversarial_reward_sessions import SessionAdversarialReward
from tests.conftest import random_sessions

SHAPE = EncoderConfig(hidden_size=8, embedding_size=8)
FIT = FitConfig(max_epochs=3, batch_size=16)
IRECGAN = IRecGANConfig(
    encoder=SHAPE,
    fit=FIT,
    user_model_fit=FIT,
    discriminator_fit=FitConfig(max_epochs=1, patience=None),
    rounds=2,
    pre_training_d_steps=2,
    num_rollouts=2,
)
SMALL = {
    "irecgan": IRECGAN,
    "pg": PGConfig(encoder=SHAPE, fit=FIT),
    "pgis": PGISConfig(encoder=SHAPE, fit=FIT),
    "ac": ACConfig(encoder=SHAPE, fit=FIT),
    "lstm": LSTMConfig(encoder=SHAPE, fit=FIT),
    "lstmd": LSTMDConfig(irecgan=IRECGAN),
    "pgu": PGUConfig(encoder=SHAPE, fit=FIT, user_model_fit=FIT, rounds=2),
    "acu": ACUConfig(encoder=SHAPE, fit=FIT, user_model_fit=FIT, rounds=2),
    "pgc": PGCConfig(encoder=SHAPE, fit=FIT, rounds=2),
}


@pytest.fixture(scope="module")
def log():
    return gym.make("RecSim-v0", logging_policy="max", num_items=20, slate_size=5).unwrapped.collect(60, seed=0)


def small_agent(name, *, ending="reward", seed=0, **sizes):
    config = SMALL[name]
    if name == "irecgan":
        config = dataclasses.replace(config, ending=ending)
    return make_agent(name, **{"num_items": 20, "slate_size": 5, **sizes}, config=config, seed=seed, device="cpu")


class Recorded:
    def __init__(self):
        self.values = {}

    def record(self, values, step):
        self.values.update(values)


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_the_same_seed_learns_the_same_agent(name, log):
    global_state = torch.random.get_rng_state()
    numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002 (checks that nothing touches it)
    agents = [small_agent(name, seed=3).learn(log) for _ in range(2)]
    other = small_agent(name, seed=4).learn(log)
    scores = [agent.slate_scores(log) for agent in [*agents, other]]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])
    assert torch.equal(global_state, torch.random.get_rng_state())
    np.testing.assert_array_equal(numpy_state, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("name", AGENT_NAMES)
def test_a_saved_agent_acts_the_same(name, log, tmp_path):
    agent = small_agent(name).learn(log)
    agent.save(tmp_path / "agent.safetensors")
    again = type(agent).load(tmp_path / "agent.safetensors", device="cpu")
    assert again.config == agent.config
    np.testing.assert_array_equal(agent.slate_scores(log), again.slate_scores(log))
    other = agent_class(next(kind for kind in AGENT_NAMES if kind != name))
    with pytest.raises(StorageError, match=f"holds a '{name}'"):
        other.load(tmp_path / "agent.safetensors")


@pytest.mark.parametrize("name", AGENT_NAMES)
@pytest.mark.parametrize("deterministic", [False, True])
def test_stable_baselines_evaluates_our_agents(name, deterministic, log):
    env = gym.make("RecSim-v0", num_items=20, slate_size=5, max_episode_steps=30)
    agent = small_agent(name)
    mean, _ = evaluate_policy(agent, env, n_eval_episodes=5, deterministic=deterministic, warn=False)
    assert 0 <= mean <= 30


def test_predict_carries_and_restarts_the_recurrent_state():
    agent = small_agent("pg")
    clicks = np.array([20, 20])
    _, start = agent.predict(clicks, None, np.array([True, True]))
    _, later = agent.predict(np.array([3, 4]), start, np.array([False, False]))
    _, mixed = agent.predict(np.array([20, 5]), later, np.array([True, False]))
    np.testing.assert_allclose(mixed[0][0], start[0][0], rtol=1e-6)
    assert not np.allclose(mixed[0][1], later[0][1])
    slate, _ = agent.predict(20, deterministic=True)
    assert slate.shape == (5,)
    top, _ = agent.predict(clicks, deterministic=True)
    np.testing.assert_array_equal(top[0], top[1])
    sampled = np.stack([agent.predict(clicks)[0] for _ in range(20)])
    assert len(np.unique(sampled.reshape(-1, 5), axis=0)) > 1
    with pytest.raises(ValueError, match="item ids from 0 to 20, got"):
        agent.predict(np.array([21]))


def test_slate_scores_follow_the_layout_of_ragged_slates(rng):
    sessions = random_sessions(rng, ragged=True)
    agent = small_agent("pg", num_items=7, slate_size=3)
    scores = agent.slate_scores(sessions)
    policy = agent.policy
    for number, session in enumerate(sessions):
        state = policy.start(1)
        for step, (slate, click) in enumerate(zip(session.slates, session.clicks, strict=True)):
            expected = policy.log_probabilities(policy.encoder.output(state))[0]
            first = sessions.slate_offsets[sessions.offsets[number] + step]
            for place, item in enumerate(slate):
                assert scores[first + place] == pytest.approx(float(expected[int(item)].detach()), rel=1e-4)
            state = policy.observe(torch.tensor([int(click)]), state)


@pytest.mark.parametrize("ending", ["reward", "leave"])
def test_irecgan_trains_on_both_kinds_of_users_and_reports(ending, rng):
    sessions = random_sessions(rng, num_sessions=60, leave=ending == "leave")
    recorded = Recorded()
    agent = small_agent("irecgan", ending=ending, num_items=7, slate_size=3).learn(sessions, recorder=recorded)
    expected = {
        "train/policy_loss",
        "user_model/validation_click_log_likelihood",
        "disc/accuracy",
        "adversarial/mean_q",
        "adversarial/policy_loss",
        "adversarial/user_model_loss",
        "fidelity/click_log_likelihood",
        "fidelity/simulated_mean_length",
    }
    assert expected <= set(recorded.values)
    assert all(np.isfinite(value) for value in recorded.values.values())
    assert 0 < recorded.values["adversarial/mean_q"] < 1
    assert agent.user_model.config.ending == ending


@pytest.mark.parametrize("ending", ["reward", "leave"])
def test_generated_sessions_carry_the_wrappers_rewards(ending):
    agent = small_agent("irecgan", ending=ending)
    score = SequenceScore(agent.user_model, agent.policy, agent.discriminator, num_rollouts=2, max_session_steps=6)
    generated = generate_adversarial_sessions(agent.policy, score, 30, rewards=ReturnSettings(), seed=1)
    sessions = generated.sessions
    assert len(sessions) == 30
    assert sessions.lengths.max() <= 6
    clicked = sessions.clicks < 20
    np.testing.assert_allclose(generated.rewards, np.where(clicked, 1 + 3 * sessions.rewards, 0), rtol=1e-5)
    wrapped = SessionAdversarialReward(score, mode="generation", lambda_r=3.0).rescale(sessions, seed=1)
    np.testing.assert_allclose(generated.scores, wrapped.q, rtol=1e-5)
    np.testing.assert_allclose(generated.rewards * generated.scores, wrapped.rewards, rtol=1e-5)
    assert ((generated.scores > 0) & (generated.scores < 1)).all()
    ends = sessions.offsets[1:] - 1
    over = sessions.rewards[ends] == 0 if ending == "reward" else sessions.clicks[ends] == 20
    np.testing.assert_array_equal(over, ~sessions.truncated)
    plain = generate_sessions(agent.policy, agent.user_model, 30, max_session_steps=6, seed=1)
    np.testing.assert_array_equal(plain.clicks[: plain.lengths[0]][0], sessions.clicks[0])


def test_lstmd_acts_by_the_user_model_of_irecgan(log):
    irecgan, lstmd = small_agent("irecgan").learn(log), small_agent("lstmd").learn(log)
    for name, value in irecgan.user_model.state_dict().items():
        torch.testing.assert_close(lstmd.user_model.state_dict()[name], value, rtol=0, atol=0)


def test_pgis_wants_propensities_or_a_model_of_them(log):
    bare = dataclasses.replace(log, propensities=None)
    logged = dataclasses.replace(SMALL["pgis"], propensities="logged")
    with pytest.raises(ValueError, match="the sessions have none: use 'estimated'"):
        make_agent("pgis", num_items=20, slate_size=5, config=logged, seed=0, device="cpu").learn(bare)
    recorded = Recorded()
    small_agent("pgis").learn(bare, recorder=recorded)
    assert recorded.values["logging_policy/validation_log_likelihood"] < 0
    assert 0 < recorded.values["importance/effective_sample_share"] <= 1


def test_a_policy_learns_what_pays():
    """Two kinds of items, half of which always end the session: the agent shows the others."""
    env = gym.make("RecSim-v0", num_states=1, num_items=20, slate_size=5, mdp_seed=1)
    rewards = env.unwrapped.mdp.rewards[0]
    log = gym.make("RecSim-v0", num_states=1, num_items=20, slate_size=5, mdp_seed=1).unwrapped.collect(800, seed=0)
    agent = PG(20, 5, PGConfig(encoder=SHAPE, fit=FitConfig(learning_rate=1e-2, max_epochs=30)), device="cpu")
    agent.learn(log)
    slate, _ = agent.predict(20, deterministic=True)
    assert rewards[slate].mean() > rewards.mean() + 0.2


@pytest.mark.parametrize("name", ["fast", "paper"])
def test_presets_hold_the_papers_numbers(name):
    config = preset("irecgan", name)
    assert (config.gamma, config.lambda_r, config.user_model_fit.lambda_p) == (0.9, 3.0, 1.0)
    assert (config.num_rollouts, config.temperature, config.generated_pool, config.d_steps) == (5, 0.1, 0, 1)
    assert (config.generated_share, config.agent_learning_rate) == ((0.1, 1e-4) if name == "paper" else (1.0, 5e-4))
    assert preset("pg", name).encoder == config.encoder
    assert (config.encoder.num_layers, config.encoder.hidden_size) == ((2, 512) if name == "paper" else (1, 64))


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"preset must be one of \('fast', 'paper', 'tuned'\), got 'slow'"):
        preset("pg", "slow")
    with pytest.raises(ValueError, match="agent must be one of"):
        make_agent("dqn", num_items=5, slate_size=2, config=None, seed=0)
    with pytest.raises(ValueError, match="slate_size must be from 1 to num_items=5, got 6"):
        PG(5, 6)


def test_too_few_sessions_are_refused(rng):
    with pytest.raises(ValueError, match="no validation sessions"):
        small_agent("pg", num_items=7, slate_size=3).learn(random_sessions(rng, num_sessions=3))
