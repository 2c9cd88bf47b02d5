"""Checks of the group "Secret elsewhere"."""

from .check import Group

CHECKS = Group("Secret elsewhere")
