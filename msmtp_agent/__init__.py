"""Make a virtual machine able to send its system mail through msmtp, prove it, and keep proving it."""

__version__ = "0.1.0"
