"""The words of the farm as values: pure, no engine, no console, no subprocess."""
