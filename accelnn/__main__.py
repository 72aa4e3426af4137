"""``python -m accelnn`` is the command ``accelnn``."""

from accelnn.cli import main

if __name__ == "__main__":
    main()
