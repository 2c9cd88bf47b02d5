"""Checks of the group "Delivery"."""

from .check import Group

CHECKS = Group("Delivery")
