"""Wrappers for the suite's envs. Importing this package imports PyTorch."""

from irecgan_gym.wrappers.adversarial_reward import AdversarialReward
from irecgan_gym.wrappers.adversarial_reward_sessions import SessionAdversarialReward
from irecgan_gym.wrappers.adversarial_reward_vector import VectorAdversarialReward

__all__ = ["AdversarialReward", "SessionAdversarialReward", "VectorAdversarialReward"]
