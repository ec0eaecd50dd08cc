"""Files that are written whole or not at all: settings as JSON, weights as safetensors."""
