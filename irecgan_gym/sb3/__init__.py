"""The suite's envs under Stable-Baselines3. Importing this package imports it, and with it PyTorch."""

from gymnasium.error import DependencyNotInstalled

try:
    import stable_baselines3  # noqa: F401
except ImportError as error:
    raise DependencyNotInstalled("irecgan_gym.sb3 needs Stable-Baselines3: pip install 'irecgan-gym[sb3]'") from error

from irecgan_gym.sb3.history_extractor import ItemHistoryExtractor
from irecgan_gym.sb3.native_vec_env import NativeVecEnv

__all__ = ["ItemHistoryExtractor", "NativeVecEnv"]
