"""Bills for water by meter readings."""
