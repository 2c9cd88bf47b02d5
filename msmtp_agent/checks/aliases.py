"""Checks of the group "Aliases"."""

from .check import Group

CHECKS = Group("Aliases")
