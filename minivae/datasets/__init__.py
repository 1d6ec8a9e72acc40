"""The data that ship with the package: UCI optical digits (see LICENSE-optdigits.txt)."""
