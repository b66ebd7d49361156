"""The web page: restore and adapt in a browser, on this machine. Training runs as a command of its own beside it."""
