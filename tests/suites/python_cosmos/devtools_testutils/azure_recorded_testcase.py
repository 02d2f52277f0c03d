"""What the tests log in with."""

import os


def get_credential(**_):
    return os.environ["ACCOUNT_KEY"]
