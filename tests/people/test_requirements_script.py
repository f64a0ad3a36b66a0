"""The list of dependencies is derived from pyproject.toml and nowhere else."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "deploy" / "requirements.py"


def listed(*extras: str, **more) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *extras], capture_output=True, text=True, check=False, **more)


def test_the_core_has_what_pyproject_says_and_not_the_project_itself():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = listed().stdout.splitlines()
    assert lines == project["dependencies"]
    assert project["name"] not in "".join(lines)


def test_extras_are_added():
    lines = listed("people", "sandbox").stdout
    assert "rich" in lines
    assert "aiohttp" in lines
    assert "pytest" not in lines


def test_it_does_not_matter_where_it_is_called(tmp_path):
    assert listed(cwd=tmp_path).stdout == listed().stdout


def test_an_unknown_extra_is_refused():
    done = listed("no-such")
    assert done.returncode == 2
    assert "no extra named" in done.stderr


def test_each_dependency_is_justified():
    text = (ROOT / "docs" / "dependencies.md").read_text()
    names = re.findall(r"^[\w-]+", listed("people", "sandbox", "dev").stdout, re.MULTILINE)
    assert len(names) > 10
    assert [name for name in names if f"`{name}`" not in text] == []
