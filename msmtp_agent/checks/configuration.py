"""Checks of the group "Configuration"."""

from .check import Group

CHECKS = Group("Configuration")
