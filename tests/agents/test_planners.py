from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.evaluation import evaluate_policy

import irecgan_gym  # noqa: F401
from irecgan_gym.agents.auto_planner import AutoPlanner, AutoPlannerConfig
from irecgan_gym.agents.choice_planner import ChoicePlanner, ChoicePlannerConfig
from irecgan_gym.agents.latent_planner import LatentPlanner, LatentPlannerConfig
from irecgan_gym.agents.references.simple import RandomPolicy
from irecgan_gym.agents.tabular_pg import TabularPG, TabularPGConfig
from irecgan_gym.evaluation.online import evaluate_online
from irecgan_gym.models.appeal import AppealConfig
from irecgan_gym.models.choice_model import ChoiceModelConfig
from irecgan_gym.models.latent_user_model import LatentUserConfig
from irecgan_gym.sessions import Sessions, SessionsError, with_leaving_step
from irecgan_gym.storage.weights import StorageError, load_weights, save_weights

ENV = "RecSim-Observable-v0"
SMALL_AUTO = AutoPlannerConfig(
    links=("tied",), spreads=(0.6,), state_spreads=(1.2,), num_states=(10,), move_spreads=(1.5,), num_folds=2
)
AGENTS = {
    "choice": (ChoicePlanner, ChoicePlannerConfig()),
    "choice by last click": (ChoicePlanner, ChoicePlannerConfig(model=ChoiceModelConfig("last-click"))),
    "latent": (LatentPlanner, LatentPlannerConfig(num_states=(10,), spreads=(1.2,), num_starts=1)),
    "latent by points": (
        LatentPlanner,
        LatentPlannerConfig(num_states=(10,), spreads=(1.2,), num_starts=1, num_points=20),
    ),
    "auto": (AutoPlanner, SMALL_AUTO),
    "tabular PG": (TabularPG, TabularPGConfig(context="last-click")),
    "top k": (ChoicePlanner, ChoicePlannerConfig(slates="top")),
}


def log_of(logging_policy, number=300, env=ENV):
    made = gym.make(env, logging_policy=logging_policy, mdp_seed=1)
    return made.get_wrapper_attr("collect")(number, seed=0)


@pytest.fixture(scope="module")
def log():
    return log_of("mix")


@pytest.fixture(scope="module", params=AGENTS, name="learned")
def learned_agent(request, log):
    agent_type, config = AGENTS[request.param]
    return agent_type(50, 10, config, seed=3).learn(log)


def reward(agent, deterministic, env=ENV):
    result = evaluate_online(
        agent, env, 600, deterministic=deterministic, seed=5, num_envs=150, env_kwargs={"mdp_seed": 1}
    )
    return result.reward.mean


def test_it_earns_more_than_random_slates_and_as_much_when_sampled(learned):
    top, sampled, random = reward(learned, True), reward(learned, False), reward(RandomPolicy(50, 10), True)
    assert top > random + 0.5
    if not isinstance(learned, TabularPG):
        assert sampled > 0.8 * top


def test_saved_and_loaded_it_acts_and_scores_alike(learned, log, tmp_path):
    learned.save(tmp_path / "agent.safetensors")
    loaded = type(learned).load(tmp_path / "agent.safetensors")
    assert loaded.config == learned.config
    few = log.select(slice(0, 20))
    np.testing.assert_array_equal(loaded.slate_scores(few), learned.slate_scores(few))
    start = np.full(7, 50)
    for agent in (learned, loaded):
        agent.set_random_seed(2)
    for deterministic in (True, False):
        first, state = learned.predict(start, deterministic=deterministic)
        other, other_state = loaded.predict(start, deterministic=deterministic)
        np.testing.assert_array_equal(first, other)
        clicks = first[:, 4]
        np.testing.assert_array_equal(
            learned.predict(clicks, state, deterministic=deterministic)[0],
            loaded.predict(clicks, other_state, deterministic=deterministic)[0],
        )
    with pytest.raises(StorageError, match="holds a"):
        next(kind for kind, _ in AGENTS.values() if kind is not type(learned)).load(tmp_path / "agent.safetensors")


@pytest.mark.parametrize(
    ("name", "number", "message"),
    [
        ("start", 1.5, "start must be from 0 to 1"),
        ("successes", 1e9, "successes must be from 0 to 1"),
        ("weights", -1.0, "weights must be at least 0"),
    ],
)
def test_stored_users_that_cannot_be_are_refused(tmp_path, name, number, message):
    path = tmp_path / "agent.safetensors"
    ChoicePlanner(6, 2).save(path)
    expected = {"num_items": int, "slate_size": int, "config": dict, "seed": int, "temperature": float}
    arguments, tensors = load_weights(path, ChoicePlanner.kind, expected)
    tensors[name].view(-1)[0] = number
    save_weights(path, ChoicePlanner.kind, arguments, tensors)
    with pytest.raises(StorageError, match=message):
        ChoicePlanner.load(path)


def test_stable_baselines_evaluates_it(learned):
    mean, _ = evaluate_policy(learned, gym.make(ENV, mdp_seed=1), 5, deterministic=True, warn=False)
    assert mean >= 0


def test_slates_are_of_different_items_and_single_users_get_one(learned):
    for deterministic in (True, False):
        slates, _ = learned.predict(np.full(30, 50), deterministic=deterministic)
        assert (np.diff(np.sort(slates, axis=1), axis=1) > 0).all()
        assert learned.predict(50, deterministic=deterministic)[0].shape == (10,)


def test_new_sessions_begin_with_the_first_belief(learned):
    fresh, _ = learned.predict(np.array([50]), deterministic=True)
    slates, state = learned.predict(np.array([50, 50]), deterministic=True)
    again, _ = learned.predict(np.array([slates[0, 3], 50]), state, np.array([False, True]), deterministic=True)
    np.testing.assert_array_equal(again[1], fresh[0])


def test_scores_are_log_probabilities_over_the_catalogue(learned, log):
    one = Sessions.from_columns(num_items=50, lengths=[1], slates=[list(range(50))], clicks=[0], rewards=[0])
    assert np.exp(learned.slate_scores(one)).sum() == pytest.approx(1, rel=1e-4)


def test_wrong_input_is_refused(learned, log):
    with pytest.raises(ValueError, match="item ids from 0 to 50"):
        learned.predict(np.array([51]))
    with pytest.raises(ValueError, match="integers"):
        learned.predict(np.array([0.5]))
    other = type(learned)(60, 10, learned.config)
    for use in (other.learn, other.slate_scores):
        with pytest.raises(ValueError, match="60"):
            use(log)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rewards": [1, 0, 0]}, "rewards\\[1\\] is 0 and its session goes on: .* PG, AC or IRecGAN"),
        ({"clicks": [0, 4, 1]}, "is no item: models of choice"),
        ({"rewards": [1, 2.5, 0]}, "must be 0 or 1"),
    ],
)
def test_users_that_planners_do_not_plan_for_are_refused(changes, message):
    columns = {"lengths": [3], "slates": [[0, 1], [2, 3], [1, 2]], "clicks": [0, 2, 1], "rewards": [1, 1, 0]}
    good, bad = (Sessions.from_columns(num_items=4, **one) for one in (columns, columns | changes))
    for part in ((bad, good), (good, bad)):
        with pytest.raises(SessionsError, match=message):
            TabularPG(4, 2).learn(*part)


def test_nothing_is_lost_to_exposure_after_a_blind_logger():
    log = log_of("random", 400, "RecSim-v0")
    with_it, without = (
        ChoicePlanner(50, 10, ChoicePlannerConfig(least=least), seed=0).learn(log) for least in (0.5, None)
    )
    np.testing.assert_array_equal(with_it.world.weights, without.world.weights)
    np.testing.assert_array_equal(with_it.world.successes, without.world.successes)


def test_what_a_seeing_logger_never_shows_is_not_shown_for_want_of_data():
    log = log_of("max", 300)
    with_it, without = (
        LatentPlanner(
            50, 10, LatentPlannerConfig(num_states=(10,), spreads=(1.2,), num_starts=1, least=least), seed=0
        ).learn(log)
        for least in (0.5, None)
    )
    assert reward(with_it, True) > reward(without, True) + 1


def test_users_who_leave_are_planned_for(tmp_path):
    leaving = with_leaving_step(log_of("random", 150, "RecSim-v0"))
    goes_on = np.arange(leaving.num_steps) % 3 > 0
    leaving = replace(leaving, rewards=np.where(goes_on, leaving.rewards, 0).astype(np.float32))
    model = LatentUserConfig(3, AppealConfig(link="untied"), leaving=True)
    config = LatentPlannerConfig(model=model, num_states=(3,), spreads=(1.2,), num_starts=1)
    agent = LatentPlanner(50, 10, config, seed=0).learn(leaving)
    assert (agent.world.leaving > 0).all()
    slates, state = agent.predict(np.full(4, 50), deterministic=True)
    agent.save(tmp_path / "agent.safetensors")
    loaded = LatentPlanner.load(tmp_path / "agent.safetensors")
    np.testing.assert_array_equal(loaded.world.leaving, agent.world.leaving)
    first, again = (one.predict(slates[:, 0], state, deterministic=True)[0] for one in (agent, loaded))
    np.testing.assert_array_equal(first, again)
    assert np.isfinite(agent.slate_scores(leaving)).all()
    with pytest.raises(SessionsError, match="leaving=True"):
        LatentPlanner(50, 10, seed=0).learn(leaving)


def test_auto_planner_says_what_it_chose(log):
    agent = AutoPlanner(50, 10, SMALL_AUTO, seed=0).learn(log)
    assert agent.sees
    assert sum(agent.chosen.values()) == pytest.approx(1)
    assert not AutoPlanner(50, 10, SMALL_AUTO, seed=0).learn(log_of("random")).sees
