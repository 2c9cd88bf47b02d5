"""Checks of the group "Way in"."""

from .check import Group

CHECKS = Group("Way in")
