"""What users see: events on the console, the closing summary, results as text and as JSON."""
