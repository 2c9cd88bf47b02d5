"""Checks of the group "AppArmor"."""

from .check import Group

CHECKS = Group("AppArmor")
