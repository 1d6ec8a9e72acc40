"""Measurements that are not tests: published results reproduced, speeds compared."""
