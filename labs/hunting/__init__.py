"""Path hunting: analysis (pure), report and pictures."""
