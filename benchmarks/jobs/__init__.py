"""Single jobs for users of the console command: fit a user model, train an agent, deploy it, play sessions."""
