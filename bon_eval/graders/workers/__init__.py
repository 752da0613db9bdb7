"""Worker processes in which symbolic algebra and plugins run, under a deadline and a memory limit."""
