"""Environments of the suite; see :mod:`irecgan_gym.registration` for their ids."""
