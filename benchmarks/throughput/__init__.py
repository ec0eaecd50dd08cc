"""Speed of environments, training and generation, against other code, plain code and the machine's limit."""
