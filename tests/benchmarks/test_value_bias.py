"""Probabilities of sessions under the true tables, and biases of values on one tiny run."""

import itertools

import gymnasium as gym
import numpy as np
import pytest

import irecgan_gym  # noqa: F401
from irecgan_gym.benchmarks.engine.command import command_line
from irecgan_gym.benchmarks.engine.tables import read_results
from irecgan_gym.benchmarks.figures.value_bias import bias_figure
from irecgan_gym.benchmarks.true_likelihood import overlap_loss, true_log_likelihood
from irecgan_gym.benchmarks.value_bias import ValueBias
from irecgan_gym.logging_policies import make_logging_policy
from irecgan_gym.planning.logged_steps import LoggedSteps


@pytest.mark.parametrize("logger", ["max", "mix"])
def test_likelihoods_are_sums_over_all_paths_of_the_state(logger):
    env = gym.make("RecSim-v0", num_states=3, num_items=6, slate_size=2, logging_policy=logger)
    mdp = env.get_wrapper_attr("mdp")
    log = env.get_wrapper_attr("collect")(8, seed=0)
    policy = make_logging_policy(logger, mdp, 2)
    steps = LoggedSteps.of(log)
    for mixture in (None, policy.mixture):
        found = true_log_likelihood(mdp, steps, mixture)
        for session in range(len(log)):
            rows = np.arange(log.offsets[session], log.offsets[session + 1])[:3]
            total = 0.0
            for path in itertools.product(range(3), repeat=len(rows)):
                chance = float(path[0] == 0)
                for place, row in enumerate(rows):
                    state, click = path[place], log.clicks[row]
                    slate = log.slate_items[log.slate_offsets[row] : log.slate_offsets[row + 1]]
                    success = mdp.rewards[state, click]
                    chance *= success / mdp.rewards[state, slate].sum() * (success if log.rewards[row] else 1 - success)
                    if mixture is not None:
                        shown = mixture.prefix_log_probabilities(np.array([state]), slate[None].astype(np.int64))
                        chance *= np.exp(shown[0, -1])
                    if place:
                        chance *= mdp.transitions[path[place - 1], log.clicks[row - 1], state]
                total += chance
            assert np.exp(found[rows].sum()) == pytest.approx(total)


def test_the_loss_of_overlap_is_twice_the_total_variation(rng):
    first, second = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.3, 0.6])
    drawn = rng.choice(3, 20_000, p=second)
    found = overlap_loss(np.log(first[drawn]), np.log(second[drawn]))
    assert found == pytest.approx(np.abs(first - second).sum(), abs=0.03)
    assert overlap_loss(np.full(3, -np.inf), np.zeros(3)) == 2


def test_biases_are_measured_after_each_round(tmp_path, capsys):
    options = "--logging-policy random --sessions 40 --seeds 1 --rounds 1 --simulated 30 --jobs 1"
    assert command_line(ValueBias, [*options.split(), "--out", str(tmp_path / "run")]) == 0
    results = read_results(tmp_path / "run").set_index("metric")["value"]
    for number in ("00", "01"):
        value = {name: results[f"{name}/round-{number}"] for name in ("value/true", "value/model", "value/rescaled")}
        assert results[f"bias/model/round-{number}"] == value["value/model"] - value["value/true"]
        assert value["value/rescaled"] <= value["value/model"]
        assert 0 <= results[f"delta-1/round-{number}"] <= 2
        assert 0 <= results[f"delta-2/first-step/round-{number}"] <= results[f"delta-2/round-{number}"] + 1e-9
    # The first round has moved both user model and discriminator.
    for name in ("delta/mean", "score/mean"):
        assert results[f"{name}/round-00"] != results[f"{name}/round-01"]
    assert "RecSim-v0/random (40)" in capsys.readouterr().out
    [axes] = bias_figure(read_results(tmp_path / "run")).axes
    lines = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert lines["by the user model"] == [results["bias/model/round-00"], results["bias/model/round-01"]]
    assert (tmp_path / "run" / "plots" / "value-bias.png").exists()
