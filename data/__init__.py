"""What a clip is, where clips come from, how they are stored and read."""

import os

# OpenMP reads it when torch is loaded, so it is set before: waiting threads sleep instead of spinning. Measured on two
# cores shared with other work: two threads of an LSTM took 3 to 7 times as long as one if they spin, 1.5 times if not.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
