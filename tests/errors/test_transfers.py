"""Texts of copy tools."""

import pytest

from errors.transfers import transfer_failure

TEXTS = [
    ("timeout reached", 1151, 1152, "CP_TIMEOUT"),
    ("failed xrdadler32", 1171, 1172, "AD_MISMATCH"),
    ("adler32 does not match the checksum", 1171, 1172, "AD_MISMATCH"),
    ("md5 does not match the checksum", 1145, 1141, "MD5_MISMATCH"),
    ("globus_xio: x", 1180, 1181, "GLOBUS_FAIL"),
    ("File exists", 1221, 1221, "FILE_EXISTS"),
    ("SRM_FILE_BUSY", 1221, 1221, "FILE_EXISTS"),
    ("query chksum is not supported", 1242, 1242, "CHKSUM_NOTSUP"),
    ("Could not establish context", 1163, 1163, "CONTEXT_FAIL"),
    ("No space left on device", 1098, 1333, "NO_SPACE"),
    ("Network is unreachable", 1327, 1327, "NETWORK_UNREACHABLE"),
    ("Run: [ERROR] Server responded with an error", 1362, 1362, "XRDCP_ERROR"),
    ("Unable to locate credentials", 1364, 1364, "S3_ERROR"),
    ("Timeout", 1099, 1137, "COPY_ERROR"),
    ("service_unavailable", 1316, 1316, "COPY_ERROR"),
]


@pytest.mark.parametrize(("text", "stagein", "stageout", "state"), TEXTS)
def test_texts(text, stagein, stageout, state):
    into, out = transfer_failure(f"x {text} y", "stagein"), transfer_failure(f"x {text} y", "stageout")
    assert (into.code, out.code, into.state, out.state) == (stagein, stageout, state, state)


def test_missing_file_differs_by_direction():
    text = "No such file or directory"
    assert transfer_failure(text, "stagein").state == "MISSING_INPUT"
    assert transfer_failure(text, "stageout").code == 1103


def test_details_are_the_text():
    assert transfer_failure("a\nDetails: broken\nb", "stagein").detail == "broken"
