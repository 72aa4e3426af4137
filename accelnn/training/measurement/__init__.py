"""How fast steps are, and how fast they could be on this machine: what is behind ``accelnn bench``."""
