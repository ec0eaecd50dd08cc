"""These tests want a CUDA device; without one they are skipped."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _card():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")


@pytest.fixture
def waits_are_errors():
    """Whatever makes the host wait for the card raises an error."""
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")
