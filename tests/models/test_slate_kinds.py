import numpy as np
import pytest

from irecgan_gym.models.appeal import AppealTables
from irecgan_gym.models.exposure import complete, exposure_of_counts, exposure_of_shares
from irecgan_gym.models.latent_fitting import fit_from_slates
from irecgan_gym.models.latent_user_model import LatentUserConfig
from irecgan_gym.models.slate_kinds import SlateKinds, SlateMixture, distinct_slates, logger_sees
from irecgan_gym.planning.logged_steps import LoggedSteps
from tests.models.test_latent_user_model import log_of


def kinds_of(logging_policy, num_sessions=300, transitions="item"):
    sessions, _ = log_of(num_sessions, logging_policy=logging_policy, transitions=transitions)
    steps = LoggedSteps.of(sessions)
    mixture = SlateMixture.fit(steps, 30, np.random.default_rng(0))
    return sessions, steps, mixture


@pytest.mark.parametrize("transitions", ["item", "softmax"])
@pytest.mark.parametrize(("logging_policy", "sees"), [("random", False), ("max", True), ("mix", True)])
def test_loggers_that_see_the_state_are_told_from_blind_ones(logging_policy, sees, transitions):
    sessions, _ = log_of(200, logging_policy=logging_policy, transitions=transitions)
    training, held_out = (LoggedSteps.of(part) for part in sessions.split([0.8, 0.2], seed=0))
    mixture = SlateMixture.fit(training, 30, np.random.default_rng(0))
    assert logger_sees(mixture, training, held_out) == sees


def test_kinds_of_the_best_slates_are_the_states():
    sessions, steps, mixture = kinds_of("max")
    kinds = SlateKinds.of(steps, mixture.members(steps))
    found = kinds.members.argmax(axis=1)
    # One kind for each state that was visited, and one state for each kind.
    pairs = {(int(kind), int(state)) for kind, state in zip(found, sessions.states, strict=True)}
    assert len(pairs) == len(np.unique(sessions.states)) == len({kind for kind, _ in pairs})


def test_modes_of_a_logger_are_put_together_by_the_clicks_before_them():
    sessions, steps, mixture = kinds_of("mix")
    groups = SlateKinds.of(steps, mixture.members(steps)).groups(steps)
    assert {len(group) for group in groups} <= {1, 2}
    model = fit_from_slates(LatentUserConfig(), steps, mixture, np.random.default_rng(0), max_iterations=20)
    assert model.config.show_modes == 2
    assert abs(model.config.num_states - len(np.unique(sessions.states))) <= 1


def test_distinct_slates_differ():
    _, steps, _ = kinds_of("max", 100)
    chosen = distinct_slates(steps, 5, np.random.default_rng(0))
    slates = [frozenset(steps.shown[row].indices.tolist()) for row in chosen]
    assert len(set(slates)) == 5


def test_completion_mixes_estimates_and_defaults_by_exposure():
    appeal = AppealTables(np.log([[0.8, 0.6, 0.9, 0.5]]), np.array([[1.0, 0.5, 2.0, 0.0]]))
    all_shown = complete(appeal, np.ones((1, 4)))
    np.testing.assert_allclose(all_shown.weights, appeal.weights)
    np.testing.assert_allclose(all_shown.successes, appeal.successes)
    half = complete(appeal, np.array([[1.0, 1.0, 1.0, 0.0]]))
    np.testing.assert_allclose(half.weights[0], [0.8, 0.6, 0.9, 0.3])
    least = appeal.successes[0, :3].min()
    np.testing.assert_allclose(half.successes[0], [*appeal.successes[0, :3], 2 / 3 * least])


def test_default_is_the_moments_of_a_uniform_number_below_the_least():
    least = 0.7
    appeal = AppealTables(
        np.log([[least, 0.9, 0.5]]), np.log(np.array([[least, 0.9, 0.5]]) / (1 - np.array([[least, 0.9, 0.5]])))
    )
    found = complete(appeal, np.array([[1.0, 1.0, 0.0]]))
    draws = np.random.default_rng(0).random(1_000_000) * least
    assert found.weights[0, 2] == pytest.approx(draws.mean(), abs=1e-3)
    assert found.weights[0, 2] * found.successes[0, 2] == pytest.approx((draws**2).mean(), abs=1e-3)


def test_exposure_of_counts_and_of_shares():
    assert exposure_of_counts(np.array([[0.0, 1e9]])).round(6).tolist() == [[0, 1]]
    # One context of one state, always shown two of four items; one of two states that differ in what is shown.
    impressions = np.array([[1000.0, 1000, 0, 0], [1000, 500, 500, 0]])
    shares = exposure_of_shares(impressions, np.array([1000.0, 1000.0]))
    np.testing.assert_allclose(shares, [[1, 1, 0, 0], [1, 0.5, 0.5, 0]], atol=2e-3)
