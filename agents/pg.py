"""PG and PGC: a policy learned by REINFORCE from offline data alone."""

from __future__ import annotations

from irecgan_gym.agents.generation import replayed_returns
from irecgan_gym.agents.policy_agent import PolicyAgent
from irecgan_gym.agents.policy_gradient import PGCConfig, PGConfig, PolicyUpdates, offline_and_held_out
from irecgan_gym.agents.pre_training import pre_train_policy
from irecgan_gym.models.slate_policy import SlatePolicy
from irecgan_gym.recorder import Recorder
from irecgan_gym.sessions.dataset import SessionLog, in_memory
from irecgan_gym.storage.states import Things


class PG(PolicyAgent[PGConfig]):
    """REINFORCE on logged sessions: Eq 10 with q_D = 1 and no generated data (baseline 2 of §7.1)."""

    kind = "pg"
    config_type = PGConfig
    streams = True
    policy: SlatePolicy

    def _build(self) -> None:
        self.policy = self._module("policy", lambda: SlatePolicy(self.num_items, self.slate_size, self.config.encoder))

    def _learn(self, sessions: SessionLog, validation: SessionLog | None, recorder: Recorder) -> None:
        config = self.config
        parts = self._hold_out(sessions, validation, config.validation_fraction)
        data, held_out = offline_and_held_out(*parts, config, self.device)
        dose = pre_train_policy(self, self.policy, data, held_out, recorder)
        self._treated(dose.as_metrics(), recorder)


class PGC(PolicyAgent[PGCConfig]):
    """PG with as many policy updates as IRecGAN, the control that shows what the rest of Algorithm 1 is worth.

    Its learning is that of IRecGAN without lines 3, 5, 6, 9 to 12 and 15 to 19: no user model, no discriminator, and in
    place of generated sessions as many of the offline ones, drawn a second time. The paper has no such baseline.
    """

    kind = "pgc"
    config_type = PGCConfig
    streams = True
    policy: SlatePolicy

    def _build(self) -> None:
        self.policy = self._module("policy", lambda: SlatePolicy(self.num_items, self.slate_size, self.config.encoder))

    def _learn(self, sessions: SessionLog, validation: SessionLog | None, recorder: Recorder) -> None:
        config = self.config
        offline, validating = self._hold_out(sessions, validation, config.validation_fraction)
        data, held_out = offline_and_held_out(offline, in_memory(validating), config, self.device)
        dose = pre_train_policy(self, self.policy, data, held_out, recorder)
        updates = PolicyUpdates(self.policy, held_out, config, self._rng("policy_updates"), dose)
        rng = self._rng("generation")
        things: Things = {"policy": updates, "generation": rng}
        rounds = self._schedule.steps("rounds", config.rounds + 1, things, until=lambda: updates.should_stop, first=1)
        with updates.diverging_kept(recorder):
            for epoch in rounds:
                for _ in range(config.r_steps):
                    drawn = rng.integers(len(offline), size=config.num_generated(offline))
                    measured = updates.update(replayed_returns(data, offline, drawn, config, self.device))
                recorder.record(measured | updates.validate(), epoch)
        self._treated(updates.finish(), recorder)
