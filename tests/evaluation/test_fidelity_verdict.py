"""The verdict of the fidelity report: what it says on either side of each threshold."""

from dataclasses import replace

import pytest

from irecgan_gym.evaluation import Fidelity

GOOD = Fidelity(
    click_log_likelihood=-1.2,
    uniform_log_likelihood=-2.3,
    popularity_log_likelihood=-1.5,
    reward_log_likelihood=-0.4,
    reward_calibration_error=0.02,
    mean_length=3.0,
    simulated_mean_length=3.1,
    length_distance=0.04,
)


def test_a_model_that_is_worth_having():
    assert GOOD.worth_having
    assert GOOD.verdict == (
        "Clicks are predicted better (-1.2000 nats) than by chance (-2.3000) and popularity (-1.5000). "
        "Rewards are calibrated (error 0.020). Sessions are as long as logged ones (mean 3.10 and 3.00, distance 0.04)."
    )
    assert "verdict: Clicks are predicted better" in str(GOOD)
    assert max(map(len, str(GOOD).splitlines())) <= 100


@pytest.mark.parametrize(
    ("change", "said", "worth"),
    [
        ({"click_log_likelihood": -1.6}, "than by chance (-2.3000), but not than by popularity (-1.5000)", False),
        ({"click_log_likelihood": -2.3}, "no better (-2.3000 nats) than by chance (-2.3000): nothing should be", False),
        # Popularity may be worse than chance.
        ({"click_log_likelihood": -2.4, "popularity_log_likelihood": -2.5}, "no better", False),
        ({"reward_calibration_error": 0.06}, "Rewards are not calibrated (error 0.060)", True),
        ({"length_distance": 0.2}, "not of the lengths of logged ones", True),
    ],
)
def test_what_is_wrong_is_said(change, said, worth):
    report = replace(GOOD, **change)
    assert said in report.verdict
    assert report.worth_having == worth
