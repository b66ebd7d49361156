"""Files, weights, shards, flags and bad days that noiseda has to bear: mutated at random, the same for the same seed.

    python -m fuzz [--seed 0] [--minutes 5] [--only images|weights|shards|flags|kills] [--number N] [--keep DIR]

Wrong is a traceback, a hang, a process of more than 1 GB, a file lost or half written, a picture that comes through
without all its pixels, a library's own words. A file that is refused in a sentence is as good as one that is read.
"""
