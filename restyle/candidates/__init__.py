"""Candidates for restyling: photos measured, judged fit or not, and picked. Restyles nothing."""
