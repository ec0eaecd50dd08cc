"""Recommendation environments for Gymnasium, learned user models and adversarial rewards (IRecGAN)."""

from irecgan_gym._version import __version__
from irecgan_gym.registration import register_envs
from irecgan_gym.sessions import Sessions, SessionsError, SessionStatistics, concatenate

__all__ = ["SessionStatistics", "Sessions", "SessionsError", "__version__", "concatenate"]

register_envs()
