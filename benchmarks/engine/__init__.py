"""The machinery that experiments share: commands, run folders, jobs and worker processes, tables, summaries."""
