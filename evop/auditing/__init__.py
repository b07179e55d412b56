"""What an audit measures, what it makes of it, and the file it writes."""
