"""Checks of the group "Copies and leftovers"."""

from .check import Group

CHECKS = Group("Copies and leftovers")
