"""PyTorch modules: recurrent encoder, user model, policy and discriminator."""
