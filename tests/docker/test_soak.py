"""The soak in short: every round of it judges itself."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).resolve().parents[2] / "bench" / "soak.py"

pytestmark = [pytest.mark.docker, pytest.mark.emulated, pytest.mark.slow]


def test_sabotage_loses_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "soak.json"
    argv = [sys.executable, SOAK, "--jobs", "20", "--seed", "2", "--out", out]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report = json.loads(out.read_text(encoding="utf-8"))
    assert report["jobs"] >= 20
    assert report["sabotaged"] >= 1
    assert report["faults"] == []
