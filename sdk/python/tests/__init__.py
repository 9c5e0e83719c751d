"""Tests of the SDK: python3 -m unittest discover (in sdk/python)."""

import logging

logging.getLogger("weft").addHandler(logging.NullHandler())
logging.getLogger("weft").propagate = False
