"""What exists for speed on a CPU: block attention and oneDNN products."""
