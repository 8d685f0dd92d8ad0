"""What holds for every test process, and for the programs that tests start."""

import atexit
import gc
import os

# Before libraries read it: as many threads as cores in each of as many workers would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# As in the stages: the objects of imported libraries stay, and are not to be searched for garbage again and again.
gc.set_threshold(10_000, 50, 100)
atexit.register(gc.freeze)
