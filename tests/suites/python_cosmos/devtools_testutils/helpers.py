"""Whether tests run against a service."""


def is_live() -> bool:
    return True
