"""Checks of the group "Secret file"."""

from .check import Group

CHECKS = Group("Secret file")
