"""mv and ln, and the registry that names them."""

import os
from pathlib import Path

import pytest

from errors.codes import ErrorCode
from movers import ln, mv, registry
from movers.base import MoverError
from tests.movers.orders import adler32, ignore, left_over, noise, order_of


def test_mv_places_an_output_without_writing_it_again_and_can_be_repeated(tmp_path: Path) -> None:
    data = noise(tmp_path / "a")
    order = order_of(tmp_path / "a", tmp_path / "store" / "b", "out")
    for _ in range(2):
        assert mv.move(order, ignore) == (len(data), adler32(data), str(tmp_path / "store" / "b"))
        assert (tmp_path / "store" / "b").stat().st_ino == (tmp_path / "a").stat().st_ino
    assert left_over(tmp_path / "store") == []


def test_h104_mv_replaces_what_else_is_there(tmp_path: Path) -> None:
    data = noise(tmp_path / "a")
    (tmp_path / "b").write_text("older")
    mv.move(order_of(tmp_path / "a", tmp_path / "b", "out", mode=0o600), ignore)
    assert (tmp_path / "b").read_bytes() == data
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o600


def test_mv_places_the_file_behind_a_link(tmp_path: Path) -> None:
    noise(tmp_path / "real")
    (tmp_path / "a").symlink_to("real")
    mv.move(order_of(tmp_path / "a", tmp_path / "b", "out", root=str(tmp_path)), ignore)
    assert not (tmp_path / "b").is_symlink()


def test_mv_copies_where_it_cannot_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_args: object, **_options: object) -> None:
        raise OSError(18, "cross-device")

    monkeypatch.setattr(os, "link", no_links)
    data = noise(tmp_path / "a")
    mv.move(order_of(tmp_path / "a", tmp_path / "b", "out"), ignore)
    assert (tmp_path / "b").read_bytes() == data
    assert (tmp_path / "b").stat().st_ino != (tmp_path / "a").stat().st_ino


def test_mv_checks_first(tmp_path: Path) -> None:
    noise(tmp_path / "a")
    with pytest.raises(MoverError) as caught:
        mv.move(order_of(tmp_path / "a", tmp_path / "b", "out", checksum="adler32:00000001"), ignore)
    assert caught.value.code == ErrorCode.PUTADMISMATCH
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("mover", [ln, mv])
def test_inputs_are_linked_to_after_they_are_verified(tmp_path: Path, mover) -> None:
    data = noise(tmp_path / "a")
    order = order_of(tmp_path / "a", tmp_path / "job" / "b", size_bytes=len(data), checksum=adler32(data), mode=0o777)
    for _ in range(2):
        assert mover.move(order, ignore).checksum == adler32(data)
        assert (tmp_path / "job" / "b").readlink() == tmp_path / "a"
    assert (tmp_path / "a").stat().st_mode & 0o777 != 0o777
    with pytest.raises(MoverError) as caught:
        mover.move(order._replace(destination=str(tmp_path / "c"), checksum="adler32:00000001"), ignore)
    assert caught.value.code == ErrorCode.GETADMISMATCH
    assert not (tmp_path / "c").is_symlink()


def test_outputs_are_not_linked(tmp_path: Path) -> None:
    noise(tmp_path / "a")
    with pytest.raises(MoverError) as caught:
        ln.move(order_of(tmp_path / "a", tmp_path / "b", "out"), ignore)
    assert caught.value.code == ErrorCode.STAGEOUTFAILED


def test_every_mover_of_the_registry_keeps_the_contract() -> None:
    for name in registry.MOVERS:
        mover = registry.find(name)
        assert mover.CAPABILITIES.schemes
        assert callable(mover.move)


def test_unknown_and_unusable_movers(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MoverError) as caught:
        registry.find("teleport")
    assert caught.value.code == ErrorCode.UNKNOWNCOPYTOOL
    monkeypatch.setitem(registry.MOVERS, "broken", "movers.not_there")
    with pytest.raises(MoverError) as caught:
        registry.find("broken")
    assert caught.value.code == ErrorCode.MIDDLEWAREIMPORTFAILURE
