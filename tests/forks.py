"""Processes that a test may kill, started quickly: one server of forks for all tests of a process.

Python keeps one such server, with the imports that the first who asked had named, so all tests name the same here.
"""

import multiprocessing

PROCESSES = multiprocessing.get_context("forkserver")
# What takes long to import, but not libvips, which does not survive a fork.
PROCESSES.set_forkserver_preload(
    ["torch._dynamo", "rich.progress", "scipy.ndimage", "noiseda.restoration", "noiseda.config"]
)
