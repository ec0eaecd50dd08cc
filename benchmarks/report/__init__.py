"""One page of run folders: what was measured, what it says of the paper's claims, and how it was made."""
