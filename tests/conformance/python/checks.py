"""Runs checks and tells of each on a line of its own; what the scripts of this folder share.

A script declares its checks in order, then hands over:

    @check("a document is read as it was written")
    async def _():
        ...

    if __name__ == "__main__":
        main("python cosmos")
"""

import asyncio
import json
import os
import sys
import time
import traceback

#: Seconds that one check may take. Generous: it only bounds what hangs.
TIME_LIMIT = 60

_checks = []


def check(name, needs=None):
    """Declares a check. ``needs`` names the emulator that it talks to, where it is not the main one."""

    def declare(function):
        _checks.append((name, needs, function))
        return function

    return declare


def emulator(name="main"):
    """The ``ready`` line of an emulator that ``run`` has started."""
    return json.loads(os.environ[f"TXGEN_{name.upper()}"])


class Failed(AssertionError):
    """Something is not as it should be."""


def equal(actual, expected, what="it"):
    """Fails unless both are the same."""
    if actual != expected:
        raise Failed(f"{what} is {actual!r:.300}, and should be {expected!r:.300}")


def that(condition, what):
    """Fails with ``what`` unless the condition holds."""
    if not condition:
        raise Failed(what)


async def refused(awaitable, kind, *words):
    """The error with which something fails; fails itself unless it is of this kind and its text has these words."""
    try:
        got = await awaitable
    except kind as error:
        text = str(error)
        for word in words:
            that(word.lower() in text.lower(), f"the error should speak of «{word}»: {text!r:.300}")
        return error
    raise Failed(f"was let through, and gave {got!r:.200}")


async def eventually(look, what, seconds=20, every=0.02):
    """What ``look`` gives once that is neither None nor False; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if asyncio.iscoroutine(found):
            found = await found
        if found is not None and found is not False:
            return found
        if time.monotonic() > deadline:
            raise Failed(f"not within {seconds} s: {what}")
        await asyncio.sleep(every)


def _one_line(error):
    text = " ".join(str(error).split()) or "no message"
    return text[:600] if isinstance(error, Failed) else f"{type(error).__name__}: {text[:600]}"


async def _run(suite, only):
    failed = 0
    for name, needs, function in _checks:
        if only and only not in name:
            continue
        if needs and f"TXGEN_{needs.upper()}" not in os.environ:
            print(f"FAIL {suite}: {name}: there is no emulator «{needs}»", flush=True)
            failed += 1
            continue
        begin = time.monotonic()
        try:
            await asyncio.wait_for(function(), TIME_LIMIT)
        except Exception as error:  # whatever a client throws is a finding, not the end of the script
            failed += 1
            print(f"FAIL {suite}: {name}: {_one_line(error)}", flush=True)
            if "VERBOSE" in os.environ:
                traceback.print_exc()
        else:
            print(f"ok   {suite}: {name} ({time.monotonic() - begin:.2f} s)", flush=True)
    return failed


def main(suite):
    """Runs every check in order, or those whose name holds the first argument; the exit code tells whether all held."""
    failed = asyncio.run(_run(suite, sys.argv[1] if len(sys.argv) > 1 else None))
    sys.exit(1 if failed else 0)
