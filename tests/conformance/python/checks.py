"""Runs checks and prints a line for each; what the scripts of this folder share.

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
TIME_LIMIT = 120

#: The exit code when a check failed; not 1, with which Python ends when a script cannot be run at all.
SOME_FAILED = 3

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
    """What ``look`` gives once that is neither None nor False; fails after so many seconds.

    ``what`` is text, or a function that gives it when it is needed.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if asyncio.iscoroutine(found):
            found = await found
        if found is not None and found is not False:
            return found
        if time.monotonic() > deadline:
            raise Failed(f"not within {seconds} s: {what() if callable(what) else what}")
        await asyncio.sleep(every)


def _one_line(error):
    text = " ".join(str(error).split()) or "no message"
    return text[:600] if isinstance(error, Failed) else f"{type(error).__name__}: {text[:600]}"


async def _verdict(suite, name, needs, function):
    """Runs one check, prints its line, and returns whether it held."""
    if needs and f"TXGEN_{needs.upper()}" not in os.environ:
        print(f"FAIL {suite}: {name}: there is no emulator «{needs}»", flush=True)
        return False
    begin = time.monotonic()
    try:
        await asyncio.wait_for(function(), TIME_LIMIT)
    except Exception as error:  # whatever a client throws is a finding, not the end of the script
        print(f"FAIL {suite}: {name}: {_one_line(error)}", flush=True)
        if "VERBOSE" in os.environ:
            traceback.print_exc()
        return False
    print(f"ok   {suite}: {name} ({time.monotonic() - begin:.2f} s)", flush=True)
    return True


async def _run(suite, only, at_once):
    turns = asyncio.Semaphore(at_once)

    async def in_turn(name, needs, function):
        async with turns:
            return await _verdict(suite, name, needs, function)

    chosen = [declared for declared in _checks if not only or only in declared[0]]
    return all(await asyncio.gather(*(in_turn(*declared) for declared in chosen)))


def main(suite, at_once=1):
    """Runs the checks in order, so many side by side, or those whose name holds the first argument.

    The exit code says whether all held.
    """
    held = asyncio.run(_run(suite, sys.argv[1] if len(sys.argv) > 1 else None, at_once))
    sys.exit(0 if held else SOME_FAILED)
