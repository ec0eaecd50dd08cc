from itertools import permutations, product

import gymnasium as gym
import numpy as np
import pytest

import irecgan_gym  # noqa: F401
from irecgan_gym.mdp import draw_mdp
from irecgan_gym.models.appeal import AppealConfig
from irecgan_gym.models.latent_fitting import climb, random_start
from irecgan_gym.models.latent_user_model import LatentPrior, LatentUserConfig, LatentUserModel
from irecgan_gym.planning.logged_steps import LoggedSteps
from irecgan_gym.sessions import Sessions


def log_of(num_sessions, *, logging_policy="random", seed=0, **tables):
    env = gym.make("RecSim-v0", logging_policy=logging_policy, mdp_seed=seed, **tables)
    return env.get_wrapper_attr("collect")(num_sessions, seed=seed + 1), env.get_wrapper_attr("mdp")


@pytest.mark.parametrize("link", ["tied", "linked", "untied"])
@pytest.mark.parametrize(("rank", "modes"), [(None, 0), (None, 2), (3, 1)])
def test_gradient_is_that_of_the_posterior(link, rank, modes):
    sessions, _ = log_of(15, num_items=12, slate_size=4)
    steps = LoggedSteps.of(sessions)
    config = LatentUserConfig(num_states=3, appeal=AppealConfig(link=link, rank=rank), show_modes=modes)
    prior, rng = LatentPrior(config, 12), np.random.default_rng(0)
    parameters = {name: rng.normal(0, 0.5, shape) for name, shape in prior.shapes.items()}
    weights = rng.random(15)
    _, gradient = prior.posterior(steps, parameters, weights)
    assert gradient.keys() == parameters.keys()
    for name, value in parameters.items():
        direction = rng.normal(size=value.shape)
        ahead, behind = (
            prior.posterior(steps, {**parameters, name: value + step * direction}, weights)[0] for step in (1e-5, -1e-5)
        )
        assert (ahead - behind) / 2e-5 == pytest.approx((gradient[name] * direction).sum(), rel=1e-5, abs=1e-5), name


def test_climbing_never_goes_down_and_more_of_it_goes_up():
    sessions, _ = log_of(100, num_items=12, slate_size=4)
    steps = LoggedSteps.of(sessions)
    config = LatentUserConfig(num_states=3)
    start = random_start(config, 12, np.random.default_rng(0))
    prior = LatentPrior(config, 12)
    values = [prior.posterior(steps, start)[0]]
    for iterations in (1, 3, 10, 30):
        values.append(prior.posterior(steps, climb(config, steps, start, max_iterations=iterations).parameters)[0])
    assert (np.diff(values) > 0).all()


def test_known_tables_are_recovered_up_to_names_of_states():
    tables = {"num_states": 3, "num_items": 12, "slate_size": 4, "transitions": "item"}
    sessions, _ = log_of(20_000, seed=3, **tables)
    mdp = draw_mdp(3, 12, 3, "item")
    steps = LoggedSteps.of(sessions)
    config = LatentUserConfig(num_states=3, move_spread=2.0, appeal=AppealConfig(group_spread=1.5))
    models = [
        climb(config, steps, random_start(config, 12, np.random.default_rng(seed)), max_iterations=200)
        for seed in range(2)
    ]
    model = max(models, key=lambda fitted: float(fitted.log_likelihood(steps).sum()))
    found, moves = model.tables.appeal.successes, model.tables.moves.table()
    errors = {}
    for names in permutations(range(3)):
        order = list(names)
        by_reward = np.abs(found[order] - mdp.rewards).mean()
        by_move = np.abs(moves[order][:, :, order] - mdp.transitions).mean()
        errors[names] = by_reward, by_move, model.tables.start[order[0]]
    by_reward, by_move, start = min(errors.values())
    assert by_reward < 0.04
    assert by_move < 0.06
    assert start > 0.95


def test_slates_told_as_signs_and_scored_add_up():
    sessions, _ = log_of(60, logging_policy="max", num_items=12, slate_size=4)
    steps = LoggedSteps.of(sessions)
    config = LatentUserConfig(num_states=3, show_modes=2)
    model = climb(config, steps, random_start(config, 12, np.random.default_rng(0)), max_iterations=20)
    scored, signs, given = (model.log_likelihood(steps, slates=how) for how in ("scored", "signs", "given"))
    # A slate's log-probability is what is left of its own and its click's; it is negative.
    assert (scored - signs < 0).all()
    assert not np.allclose(signs, given)
    without = LatentUserModel(
        LatentUserConfig(num_states=3),
        {name: value for name, value in model.parameters.items() if not name.startswith("show")},
        12,
    )
    np.testing.assert_allclose(without.log_likelihood(steps, slates="signs"), given)


def test_saved_and_loaded_it_is_the_same(tmp_path):
    sessions, _ = log_of(30, num_items=12, slate_size=4)
    config = LatentUserConfig(num_states=3, show_modes=1, appeal=AppealConfig(link="linked", rank=2))
    steps = LoggedSteps.of(sessions)
    model = climb(config, steps, random_start(config, 12, np.random.default_rng(0)), max_iterations=5)
    model.save(tmp_path / "model.safetensors")
    loaded = LatentUserModel.load(tmp_path / "model.safetensors")
    assert loaded.config == config
    for how in ("given", "signs", "scored"):
        np.testing.assert_array_equal(loaded.log_likelihood(steps, slates=how), model.log_likelihood(steps, slates=how))


def leaving_log(rng, number=12, items=5, size=3):
    """Sessions in which rewards are anything and most users leave at the end."""
    lengths = rng.integers(1, 4, number)
    steps, last = int(lengths.sum()), np.cumsum(lengths) - 1
    slates = np.array([rng.permutation(items)[:size] for _ in range(steps)])
    clicks, rewards = slates[np.arange(steps), rng.integers(size, size=steps)], rng.integers(2, size=steps)
    left = last[rng.random(number) < 0.7]
    clicks[left], rewards[left] = items, 0
    truncated = ~np.isin(last, left)
    columns = {"slates": slates, "clicks": clicks, "rewards": rewards, "truncated": truncated}
    return Sessions.from_columns(num_items=items, lengths=lengths, **columns)


def test_leaving_is_in_the_likelihood_as_a_sum_over_all_paths(rng):
    log, config = leaving_log(rng), LatentUserConfig(3, AppealConfig(link="untied"), leaving=True)
    prior = LatentPrior(config, 5)
    model = LatentUserModel(config, {name: rng.normal(0, 1, shape) for name, shape in prior.shapes.items()}, 5)
    found, tables = model.log_likelihood(log), model.tables
    moves = tables.moves.table()
    for low, high in zip(log.offsets[:-1], log.offsets[1:], strict=True):
        total = 0.0
        for path in product(range(3), repeat=int(high - low)):
            chance = tables.start[path[0]]
            for place, step in enumerate(range(low, high)):
                state, click = path[place], log.clicks[step]
                slate = log.slate_items.reshape(-1, 3)[step]
                total_weight = tables.appeal.weights[state, slate].sum() + tables.leaving[state]
                if click == 5:
                    chance *= tables.leaving[state] / total_weight
                else:
                    success = tables.appeal.successes[state, click]
                    chance *= tables.appeal.weights[state, click] / total_weight
                    chance *= success if log.rewards[step] else 1 - success
                if place:
                    chance *= moves[path[place - 1], log.clicks[step - 1], state]
            total += chance
        assert np.exp(found[low:high].sum()) == pytest.approx(total)


def test_the_gradient_with_leaving_is_that_of_the_posterior(rng):
    config = LatentUserConfig(3, leaving=True, show_modes=1)
    steps, prior = LoggedSteps.of(leaving_log(rng), leaving=True), LatentPrior(config, 5)
    parameters = {name: rng.normal(0, 0.5, shape) for name, shape in prior.shapes.items()}
    _, gradient = prior.posterior(steps, parameters)
    assert gradient.keys() == parameters.keys()
    for name, value in parameters.items():
        direction = rng.normal(size=value.shape)
        ahead, behind = (
            prior.posterior(steps, {**parameters, name: value + step * direction})[0] for step in (1e-5, -1e-5)
        )
        assert (ahead - behind) / 2e-5 == pytest.approx((gradient[name] * direction).sum(), rel=1e-5, abs=1e-5), name


def test_leaving_is_refused_where_it_cannot_be(rng):
    log = leaving_log(rng)
    with pytest.raises(ValueError, match="users who click at every step"):
        LoggedSteps.of(log)
    config = LatentUserConfig(2, leaving=True)
    with pytest.raises(ValueError, match="leaving=False"):
        climb(config, LoggedSteps.of(log, leaving=True), random_start(config, 5, rng), max_iterations=2).as_user_model(
            2
        )


@pytest.mark.parametrize("wrong", [{"num_states": 0}, {"show_modes": -1}, {"move_spread": 0.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LatentUserConfig(**wrong)
