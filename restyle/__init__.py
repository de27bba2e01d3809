"""Restyling: photos that visitors who cannot see red feel at home in, and that people on Earth still recognise."""
