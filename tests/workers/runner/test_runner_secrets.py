"""A job's secrets are there while its payload runs, and gone when it has ended (conformance case 30)."""

import pytest


@pytest.mark.parametrize("name", ["panda_secrets.json", "x509_payload.proxy"])
def test_case_30_secrets_are_gone_when_the_payload_has_ended(place, name):
    place.job_dir.mkdir(exist_ok=True)
    secrets = place.job_dir / name
    secrets.write_text("{}")
    result = place.run(f"cat {name}")
    assert (result.exit_code, place.stdout()) == (0, "{}")
    assert not secrets.exists()


def test_a_link_in_the_place_of_the_secrets_costs_nobody_a_file(place, tmp_path):
    other = tmp_path / "other"
    other.write_text("mine")
    place.run(f"ln -s {other} panda_secrets.json")
    assert other.read_text() == "mine"
    assert not (place.job_dir / "panda_secrets.json").is_symlink()
