import numpy as np
import pytest
from scipy.special import log_expit

from irecgan_gym.models.appeal import AppealConfig, AppealTables
from irecgan_gym.models.appeal_deviations import lowered, success_deviations, success_information


def test_deviations_are_those_of_the_inverse_precision(rng):
    groups, items = 3, 4
    config = AppealConfig(item_spread=1.3, group_spread=0.7)
    information = rng.uniform(0, 5, (groups, items))
    found = success_deviations(config, information)
    for item in range(items):
        # An item's mean and its deviations; log-odds are their sums.
        precision = np.diag([config.item_spread**-2, *[config.group_spread**-2] * groups])
        for group in range(groups):
            row = np.zeros(1 + groups)
            row[[0, 1 + group]] = 1
            precision += information[group, item] * np.outer(row, row)
        covariance = np.linalg.inv(precision)
        for group in range(groups):
            variance = covariance[0, 0] + covariance[1 + group, 1 + group] + 2 * covariance[0, 1 + group]
            assert found[group, item] == pytest.approx(np.sqrt(variance))


def test_information_is_the_curvature_of_the_likelihood(rng):
    """Of one slate of three items whose weight is their chance, clicked on item 0 with success; expected curvature."""
    logits = rng.normal(size=(1, 3))
    step = 1e-4

    def expected_log_likelihood(moved):
        # Expectation under the unmoved law, whose curvature is Fisher's information.
        chances, log_weights = 1 / (1 + np.exp(-logits[0])), log_expit(moved[0])
        clicks = chances / chances.sum()
        choice = clicks @ (log_weights - np.log(np.exp(log_weights).sum()))
        return choice + clicks @ (chances * log_expit(moved[0]) + (1 - chances) * log_expit(-moved[0]))

    chances = 1 / (1 + np.exp(-logits))
    clicks = chances / chances.sum()
    tables = AppealTables(log_expit(logits), logits)
    found = success_information(AppealConfig(), tables, clicks, clicks, clicks**2)
    for item in range(3):
        shift = np.zeros((1, 3))
        shift[0, item] = step
        values = [expected_log_likelihood(logits + sign * shift) for sign in (-1, 0, 1)]
        assert found[0, item] == pytest.approx(-(values[0] - 2 * values[1] + values[2]) / step**2, rel=1e-3)
    alone = success_information(AppealConfig(link="untied"), tables, clicks, clicks, clicks**2)
    np.testing.assert_allclose(alone, clicks * chances * (1 - chances))


def test_bounds_are_lower_where_less_is_known_and_weights_stay(rng):
    tables = AppealTables(rng.normal(size=(2, 5)), np.zeros((2, 5)))
    deviations = success_deviations(AppealConfig(), np.tile([0.0, 1.0, 10.0, 100.0, 1e6], (2, 1)))
    bound = lowered(tables, deviations, 1.0)
    assert (np.diff(bound.successes) > 0).all()
    np.testing.assert_allclose(bound.successes[:, -1], 0.5, atol=1e-3)
    np.testing.assert_array_equal(bound.weights, tables.weights)
