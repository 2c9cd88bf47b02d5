"""Checks of the group "Log"."""

from .check import Group

CHECKS = Group("Log")
