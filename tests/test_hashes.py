"""hashes.txt, which `make hashes` writes, is of the versions of constraints.txt and of what setup.cfg asks for."""

import re
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).parent.parent
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", re.MULTILINE)


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(text):
    return {(normal(name), version) for name, version in PIN.findall(text)}


HASHES, CONSTRAINTS = ((ROOT / name).read_text() for name in ("hashes.txt", "constraints.txt"))


def test_versions_are_those_of_the_constraints():
    known = {name for name, _ in pins(CONSTRAINTS)}
    pinned = {(name, version) for name, version in pins(HASHES) if name in known}
    assert len(pinned) > 100
    assert pinned - pins(CONSTRAINTS) == set()


def test_every_version_has_hashes():
    entries = re.split(r"\n(?=[A-Za-z0-9])", HASHES.strip())
    assert len(entries) == len(PIN.findall(HASHES))
    for entry in entries:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), entry


def test_what_is_asked_for_is_there():
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    names = {normal(re.split(r"[\[<>=; ]", line)[0]) for line in setup["options"]["install_requires"].split()}
    assert {"torch", "numpy"} < names
    assert names - {name for name, _ in pins(HASHES)} == set()
