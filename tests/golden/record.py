"""Write the golden runs and say which differ to the bit: ``python -m tests.golden.record [FILE]``."""

import json
import sys
from pathlib import Path

import torch

from tests.golden.runs import FILE, run_all

if __name__ == "__main__":
    torch.set_num_threads(1)
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    before = json.loads(path.read_text()) if path.exists() else {}
    now = run_all()
    for name, result in now.items():
        same = before.get(name, {}).get("digest") == result["digest"]
        print(f"{name:<20}{'same bits' if same else 'differs or new'}")
    path.write_text(json.dumps(now, indent=1) + "\n")
