"""What the command line prints: progress while it works, tables when it is done."""
