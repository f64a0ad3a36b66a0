"""Checksums: their texts, zeros at the front, holes."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors.codes import ErrorCode
from movers.base import MoverError
from movers.checksums import Adler32, Md5, hasher, normal


@pytest.mark.parametrize(
    ("given_text", "wanted"),
    [
        ("adler32:1", "adler32:00000001"),
        ("ad:0A1B2C3D", "adler32:0a1b2c3d"),
        ("0a1b2c3d", "adler32:0a1b2c3d"),
        ("md:D41D8CD98F00B204E9800998ECF8427E", "md5:d41d8cd98f00b204e9800998ecf8427e"),
        ("", ""),
    ],
)
def test_checksums_from_outside_get_one_form(given_text: str, wanted: str) -> None:
    assert normal(given_text) == wanted


@pytest.mark.parametrize("text", ["crc32:12", "adler32:", "adler32:123456789", "adler32:xyz", "md5:é"])
def test_an_unknown_checksum_is_refused(text: str) -> None:
    with pytest.raises(MoverError) as caught:
        normal(text)
    assert (caught.value.code, caught.value.retry) == (ErrorCode.UNKNOWNCHECKSUMTYPE, False)


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(MoverError):
        hasher("", "crc32")


@given(st.binary(max_size=300), st.integers(0, 100_000), st.binary(max_size=300))
def test_a_hole_counts_as_zeros(before: bytes, count: int, after: bytes) -> None:
    for make in (Adler32, Md5):
        jumped, walked = make(), make()
        jumped.update(before)
        jumped.skip(count)
        jumped.update(after)
        walked.update(before + bytes(count) + after)
        assert jumped.text() == walked.text()


def test_adler32_of_nothing() -> None:
    assert Adler32().text() == f"adler32:{zlib.adler32(b''):08x}" == "adler32:00000001"
