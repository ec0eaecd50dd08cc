"""Descriptions of public logs, one file each; the readers follow from them."""

from irecgan_gym.readers.formats.eb_nerd import EB_NERD
from irecgan_gym.readers.formats.finn_no import FINN_NO
from irecgan_gym.readers.formats.kuairand import KUAIRAND
from irecgan_gym.readers.formats.kuairec import KUAIREC
from irecgan_gym.readers.formats.log_format import LogColumn, LogFormat, StepCells
from irecgan_gym.readers.formats.mind import MIND
from irecgan_gym.readers.formats.open_bandit import OPEN_BANDIT
from irecgan_gym.readers.formats.rl4rs import RL4RS

__all__ = ["PUBLIC_LOGS", "LogColumn", "LogFormat", "StepCells"]

PUBLIC_LOGS = {
    description.name: description for description in (OPEN_BANDIT, KUAIRAND, KUAIREC, RL4RS, FINN_NO, MIND, EB_NERD)
}
"""Descriptions by the name of their format."""
