import gymnasium as gym
import numpy as np

import irecgan_gym  # noqa: F401
from irecgan_gym.agents.online import PLANNING_METHODS, OnlineConfig, learn_in_rounds, make_learner, online_preset
from irecgan_gym.agents.posterior_planner import PosteriorPlanner, PosteriorPlannerConfig
from irecgan_gym.models.latent_fitting import climb, posterior_draw, random_start
from irecgan_gym.models.latent_user_model import LatentUserConfig
from irecgan_gym.planning.logged_steps import LoggedSteps

SMALL = PosteriorPlannerConfig(num_states=(4,), spreads=(1.2,), num_starts=1, reads_slates=False, num_draws=3)


def log_of(number, **world):
    return gym.make("RecSim-v0", **world).get_wrapper_attr("collect")(number, seed=0)


def test_draws_differ_by_what_the_log_leaves_open():
    spreads = []
    for number in (20, 1500):
        steps = LoggedSteps.of(log_of(number, num_items=12, slate_size=4))
        config, rng = LatentUserConfig(2), np.random.default_rng(0)
        model = climb(config, steps, random_start(config, 12, rng))
        worlds = [posterior_draw(model, steps, rng).world() for _ in range(6)]
        spreads.append(np.std([world.start @ world.successes for world in worlds], axis=0).mean())
    assert spreads[0] > 2 * spreads[1] > 0


def test_a_session_goes_by_one_draw_and_sessions_by_different_ones():
    agent = PosteriorPlanner(50, 10, SMALL, seed=0).learn(log_of(60))
    observed = np.full(200, 50)
    drawn, state = [], None
    for _ in range(3):
        slates, state = agent.predict(observed, state)
        by_draw = state[0].reshape(200, 3, 4).sum(axis=2)
        np.testing.assert_allclose(by_draw.max(axis=1), 1)
        drawn.append(by_draw.argmax(axis=1))
        observed = slates[:, 0]
    assert set(drawn[0]) == {0, 1, 2}
    np.testing.assert_array_equal(drawn[1], drawn[0])
    np.testing.assert_array_equal(drawn[2], drawn[0])
    _, state = agent.predict(np.full(5, 50), deterministic=True)
    assert (state[0].reshape(5, 3, 4).sum(axis=2) < 0.5).all()


def test_before_it_has_learned_it_shows_random_slates():
    slates, _ = PosteriorPlanner(50, 10, SMALL, seed=0).predict(np.full(300, 50))
    assert np.bincount(slates.ravel(), minlength=50).min() > 30


def test_saved_and_loaded_it_acts_alike(tmp_path):
    agent = PosteriorPlanner(50, 10, SMALL, seed=0).learn(log_of(60))
    agent.save(tmp_path / "agent.safetensors")
    loaded = PosteriorPlanner.load(tmp_path / "agent.safetensors")
    for one in (agent, loaded):
        one.set_random_seed(1)
    np.testing.assert_array_equal(*(one.predict(np.full(20, 50))[0] for one in (agent, loaded)))


def test_planners_learn_in_rounds():
    assert PLANNING_METHODS == ("posterior-sampling", "latent-planner")
    for method in PLANNING_METHODS:
        settings = SMALL if method == "posterior-sampling" else online_preset(method, "fast").agent
        learner = make_learner(method, num_items=50, slate_size=10, config=OnlineConfig(settings), seed=0, device="cpu")
        played = list(learn_in_rounds(learner, "RecSim-v0", rounds=3, sessions_per_round=150, seed=1))
        first, last = (float(one.sessions.rewards.sum()) / 150 for one in (played[0], played[-1]))
        assert last > first + 0.3
