"""What Harvester's code imports from a pilot's tree (panda-protocol 13), in a fresh interpreter."""

import subprocess
import sys

from pilot.common.errorcodes import ErrorCodes
from pilot.util import auxiliary
from tests.chaos.pilotrun import ROOT


def test_error_codes_have_names_and_texts():
    assert (ErrorCodes.GENERALERROR, ErrorCodes.SIGTERM) == (1008, 1201)
    assert ErrorCodes._error_messages[1201] == ErrorCodes.get_error_message(1201)
    assert all(ErrorCodes._error_messages.values())


def test_exit_codes_lead_back_to_errors():
    assert auxiliary.get_error_code_translation_dictionary()[1386][0] == 83
    assert auxiliary.convert_to_pilot_error_code(83) == 1386
    assert auxiliary.convert_to_pilot_error_code(5) == 5


def test_importing_starts_nothing_and_needs_no_library():
    program = "import pilot.api.data, pilot.common.errorcodes, pilot.util.auxiliary, sys, threading\n"
    program += "print(threading.active_count(), {'zmq', 'requests', 'multiprocess'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "set()"]
