"""What every room stands on: errors, settings, files, arrays, console. Imports nothing of ours."""
