"""What an installation puts on a machine: a wheel is built, looked into, and used from elsewhere."""

import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RECORDS = (".csv", ".md")  # results and pages of the repository
PARTS = ("irecgan_gym", "agents", "benchmarks", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a copy of the checkout, which keeps build folders out of it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for part in PARTS:
        path = ROOT / part
        if path.is_dir():
            shutil.copytree(path, source / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source / part)
    options = ("--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet")
    command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(out), str(source)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (file,) = out.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def names(wheel):
    return set(zipfile.ZipFile(wheel).namelist())


def test_one_name_is_put_at_the_top(names):
    top = {name.partition("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"irecgan_gym"}


def test_every_file_of_the_packages_is_in_the_wheel(names):
    expected = set()
    for folder, package in (
        ("irecgan_gym", "irecgan_gym"),
        ("agents", "irecgan_gym/agents"),
        ("benchmarks", "irecgan_gym/benchmarks"),
    ):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix not in RECORDS:
                expected.add(f"{package}/{path.relative_to(ROOT / folder).as_posix()}")
    assert expected <= names, sorted(expected - names)
    for marker in ("irecgan_gym/py.typed", "irecgan_gym/agents/py.typed", "irecgan_gym/benchmarks/py.typed"):
        assert marker in names


def test_there_is_a_console_command(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt"))
        parser = ConfigParser()
        parser.read_string(archive.read(name).decode())
    assert parser["console_scripts"]["irecgan-gym"] == "irecgan_gym.benchmarks.main:main"


def test_the_unpacked_wheel_imports_and_reads_its_own_data(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    program = (
        "import sys; sys.path.insert(0, 'site')\n"
        # An editable installation of the checkout must not stand in for what the wheel lacks.
        "sys.meta_path[:] = [finder for finder in sys.meta_path if 'editable' not in str(finder)]\n"
        "import irecgan_gym as ig\n"
        "assert 'site' in ig.__file__ and 'torch' not in sys.modules, ig.__file__\n"
        "print(type(ig.preset('irecgan', 'fast')).__name__, ig.agents.__file__)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    kind, place = ran.stdout.split()
    assert kind == "IRecGANConfig"
    assert Path(place).parts[-4:-2] == ("site", "irecgan_gym")
