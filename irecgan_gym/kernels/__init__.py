"""Code that exists for speed: compiled loops, blocked softmax, packed LSTM, sampling, low precision."""
