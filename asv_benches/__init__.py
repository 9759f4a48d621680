"""Benchmarks tracked by airspeed velocity, the gate on exact figures, and the dashboard; see docs/benchmarks.md."""
