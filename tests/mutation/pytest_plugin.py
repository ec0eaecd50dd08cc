"""Settings of the tests while mutants run: the first failure is enough, so no failing example is made smaller."""

from hypothesis import Phase, settings


def pytest_collection() -> None:
    """Let Hypothesis stop at the first failure."""
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutants", settings.get_profile("suite"), phases=phases, report_multiple_bugs=False)
    settings.load_profile("mutants")
