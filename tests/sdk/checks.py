"""What the scripts beside this one share: where the fake vendor is, and how a check is told."""

import os
import struct

ADDRESS = os.environ["FAKE_ADDRESS"]
KEY = os.environ["FAKE_KEY"]
PROMPT = "Foxes in town at night"


def address(account):
    """Where an account of the fake is; its name says what is wrong with it."""
    return f"{ADDRESS}/{account}"


class check:
    """Tells that what stands under it held. Whatever does not hold ends the script."""

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is None:
            print(f"ok {self.name}", flush=True)
        else:
            print(f"FAILED {self.name}: {kind.__name__}: {error}", flush=True)
        return False


def raised(kind, call):
    """The error that a call raises: of exactly this class, not of one that covers it."""
    try:
        answer = call()
    except Exception as error:
        assert type(error) is kind, f"{type(error).__name__} instead of {kind.__name__}: {error}"
        return error
    raise AssertionError(f"{kind.__name__} was not raised; the answer was {answer!r:.300}")


def equal(found, expected):
    assert found == expected, f"{found!r:.300} instead of {expected!r:.300}"


def png_size(file):
    """The size of a PNG."""
    equal(file[:8], b"\x89PNG\r\n\x1a\n")
    equal(file[-8:-4], b"IEND")
    return struct.unpack(">II", file[16:24])


def is_mp4(file):
    equal(file[4:12], b"ftypisom")
    for kind in (b"moov", b"trak", b"mdat"):
        assert kind in file, f"no {kind} in the film"


def file_of(address):
    """The name of a file. Google's SDK takes it out of an https address itself, and the fake speaks plain http."""
    assert address.endswith(":download?alt=media"), address
    return "files/" + address.split("/files/")[1].removesuffix(":download?alt=media")
