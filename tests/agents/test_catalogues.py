"""Agents and models know their items by name, keep them in their files, and refuse sessions over other items."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

from irecgan_gym.agents import PG, ChoicePlanner, IRecGAN, PopularityPolicy, RandomPolicy, agent_class, preset
from irecgan_gym.agents.references.state_policies import MaxReward
from irecgan_gym.evaluation import evaluate_online, evaluate_reranking, fidelity
from irecgan_gym.evaluation.rankings import CoClick
from irecgan_gym.models.choice_model import ChoiceModel
from irecgan_gym.models.fitting import FitConfig, fit_user_model
from irecgan_gym.models.user_model import UserModel, UserModelConfig
from irecgan_gym.sessions import Catalogue, CatalogueError, Sessions
from irecgan_gym.wrappers.adversarial_reward import check_same_catalogue
from tests.conftest import random_sessions

NAMES = tuple("abcdefg")
FIT = FitConfig(max_epochs=1)


def named(names=NAMES, seed=0):
    """Sessions over seven named items."""
    return replace(random_sessions(np.random.default_rng(seed)), item_names=tuple(names))


def small(kind, items=7):
    """An agent that learns in a moment."""
    config = preset(kind, "fast") if kind in ("pg", "lstm") else None
    if config is not None:
        fields = {"fit", "user_model_fit"} & set(vars(config))
        config = replace(config, **dict.fromkeys(fields, FIT))
    return agent_class(kind)(items, 3, config, device="cpu")


OTHER = named("gfedcba", seed=1)
TWENTY, FORTY = (random_sessions(np.random.default_rng(2), num_items=number) for number in (20, 40))


@pytest.mark.parametrize("agent", [small("pg"), small("lstm"), PopularityPolicy(7, 3), RandomPolicy(7, 3)])
def test_agents_learn_the_names_keep_them_and_refuse_others(agent, tmp_path):
    log = named()
    with pytest.raises(CatalogueError, match=r"the validation sessions have 7 items, the policy 7: .*'g' in the valid"):
        agent.learn(log, OTHER)
    assert agent.catalogue.names is None
    assert agent.learn(log, named(seed=3)) is agent
    assert agent.catalogue.names == NAMES
    agent.save(tmp_path / "agent.safetensors")
    again = type(agent).load(tmp_path / "agent.safetensors", device="cpu")
    assert again.catalogue.names == NAMES
    np.testing.assert_array_equal(again.slate_scores(log), agent.slate_scores(log))
    for one in (agent, again):
        for refuse in (one.learn, one.slate_scores):
            with pytest.raises(CatalogueError, match="the sessions have 7 items, the policy 7: catalogues of other it"):
                refuse(OTHER)
        with pytest.raises(CatalogueError, match=f"{OTHER.catalogue.digest} and {log.catalogue.digest}"):
            evaluate_reranking(one, OTHER, deterministic=True, seed=0, min_list_length=1)
        # Sessions over the same items in another order are the same sessions.
        moved = log.reindexed(OTHER.catalogue)
        np.testing.assert_array_equal(one.slate_scores(moved.reindexed(one.catalogue)), one.slate_scores(log))
        # What has no names is known by its size alone.
        assert np.isfinite(one.slate_scores(replace(log, item_names=None))).all()


@pytest.mark.parametrize("kind", ["pg", "popularity", "random"])
def test_an_agent_of_30_items_takes_no_sessions_of_20_or_40(kind):
    agent = {"pg": small("pg", 30), "popularity": PopularityPolicy(30, 3), "random": RandomPolicy(30, 3)}[kind]
    for sessions in (TWENTY, FORTY):
        message = f"the sessions have {sessions.num_items} items, the policy 30"
        for refuse in (agent.learn, agent.slate_scores):
            with pytest.raises(ValueError, match=message):
                refuse(sessions)
    with pytest.raises(ValueError, match="observations must be item ids from 0 to 30"):
        agent.predict(np.array([3, 40]))
    with pytest.raises(ValueError, match="the env has 50 items, the policy 30"):
        evaluate_online(agent, "RecSim-v0", 2, deterministic=True, seed=0)


def test_simulated_items_need_no_names(tmp_path):
    env = gym.make("RecSim-v0", num_items=7, num_states=3, slate_size=3).unwrapped
    log = env.collect(20, seed=0)
    agent = small("pg").learn(log)
    assert agent.catalogue.names is None
    agent.save(tmp_path / "agent.safetensors")
    assert PG.load(tmp_path / "agent.safetensors").catalogue.num_items == 7
    policy = MaxReward(env.mdp, 3).learn(named())
    policy.save(tmp_path / "policy.safetensors")
    assert MaxReward.load(tmp_path / "policy.safetensors").catalogue.names == NAMES


def test_planners_keep_the_names(tmp_path):
    log = replace(named(), rewards=np.ones(named().num_steps, np.float32))
    agent = ChoicePlanner(7, 3).learn(log)
    agent.save(tmp_path / "agent.safetensors")
    again = ChoicePlanner.load(tmp_path / "agent.safetensors")
    assert again.catalogue.names == NAMES
    with pytest.raises(CatalogueError, match="the sessions have 7 items, the policy 7"):
        again.slate_scores(OTHER)


def test_user_models_know_their_items_too(tmp_path):
    log = named()
    model = fit_user_model(log, None, UserModelConfig(7, 3, "leave"), FIT, device="cpu")
    assert model.catalogue.names == NAMES
    model.save(tmp_path / "model.safetensors")
    again = UserModel.load(tmp_path / "model.safetensors", device="cpu")
    assert again.catalogue.names == NAMES
    with pytest.raises(CatalogueError, match="the sessions have 7 items, the user model 7"):
        fidelity(again, OTHER, seed=0)
    with pytest.raises(CatalogueError, match="the validation sessions have 7 items, the user model 7"):
        fit_user_model(log, OTHER, UserModelConfig(7, 3, "leave"), FIT, device="cpu")
    with pytest.raises(CatalogueError, match="the sessions have 7 items, the user model 7"):
        fit_user_model(OTHER, None, again, FIT)
    env = gym.make("UserModel-v0", user_model=again).unwrapped
    assert env.catalogue.names == NAMES
    agent = small("pg").learn(OTHER)
    with pytest.raises(CatalogueError, match=r"the env has 7 items, the policy 7: .* item 0 is 'a' in the env, 'g'"):
        evaluate_online(agent, "UserModel-v0", 2, deterministic=True, seed=0, env_kwargs={"user_model": again})


def test_sessions_played_with_a_user_model_have_its_names():
    from irecgan_gym.collection import collect

    model = fit_user_model(named(), None, UserModelConfig(7, 3, "leave"), FIT, device="cpu")
    played = collect(RandomPolicy(7, 3), "UserModel-v0", 3, 0, env_kwargs={"user_model": model})
    assert played.item_names == NAMES


def test_adversarial_rewards_are_for_envs_of_the_same_items():
    class Score:
        user_model = UserModel.create(UserModelConfig(7, 3), seed=0, device="cpu")

    class Env:
        num_items = 7
        catalogue = Catalogue.of(NAMES)

    check_same_catalogue(Env, Score)
    Score.user_model.catalogue = OTHER.catalogue
    with pytest.raises(CatalogueError, match="the env has 7 items, the user model of the score 7: catalogues of other"):
        check_same_catalogue(Env, Score)


def test_the_user_models_of_agents_know_the_items(tmp_path):
    config = replace(preset("irecgan", "fast"), rounds=1, fit=FIT, user_model_fit=FIT, discriminator_fit=FIT)
    agent = IRecGAN(7, 3, replace(config, ending="leave"), device="cpu").learn(named())
    assert agent.user_model.catalogue.names == NAMES
    agent.save(tmp_path / "agent.safetensors")
    assert IRecGAN.load(tmp_path / "agent.safetensors", device="cpu").user_model.catalogue.names == NAMES


def test_other_models_and_rankings_refuse_others(tmp_path):
    log = replace(named(), rewards=np.ones(named().num_steps, np.float32))
    model = ChoiceModel.fit(log)
    model.save(tmp_path / "choice.safetensors")
    again = ChoiceModel.load(tmp_path / "choice.safetensors")
    assert again.catalogue.names == NAMES
    with pytest.raises(CatalogueError, match="the sessions have 7 items, the choice model 7"):
        again.log_likelihood(OTHER)
    with pytest.raises(CatalogueError, match="the sessions have 7 items, the ranking 7"):
        CoClick().learn(log).slate_scores(OTHER)


def test_two_weekly_logs_numbered_apart_are_one_catalogue_again():
    """A policy scores next week's items by name, whatever number they have in its file."""
    week = named()
    agent = small("pg").learn(week)
    shuffled = week.reindexed(Catalogue.of([*"gfedcba", "new"]))
    with pytest.raises(CatalogueError, match="1 only in the sessions: 'new'"):
        agent.slate_scores(shuffled)
    np.testing.assert_array_equal(agent.slate_scores(shuffled.reindexed(agent.catalogue)), agent.slate_scores(week))


def test_many_names_fit_into_the_file_of_a_model(tmp_path):
    names = [f"item {number}" for number in range(300_000)]
    policy = PopularityPolicy(len(names), 2)
    log = Sessions.from_columns(
        num_items=len(names), lengths=[1], slates=[[5, 299_999]], clicks=[5], rewards=[1], item_names=names
    )
    policy.learn(log).save(tmp_path / "policy.safetensors")
    assert PopularityPolicy.load(tmp_path / "policy.safetensors").catalogue.names[-1] == "item 299999"
