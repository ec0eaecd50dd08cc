"""Pictures of sessions, as text and as pixels; the envs fill a :class:`SessionView`, the same for all of them."""
