"""Agents of other libraries, trained in three worlds and deployed in the true one, beside our own."""
