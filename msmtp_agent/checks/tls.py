"""Checks of the group "TLS"."""

from .check import Group

CHECKS = Group("TLS")
