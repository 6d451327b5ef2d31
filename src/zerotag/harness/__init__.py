"""Methods side by side: the same search for each, a bench of all, and the figures that papers printed."""
