"""How fast environments, training and generation are, against other code, plain code and the machine's limit."""
