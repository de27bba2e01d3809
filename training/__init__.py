"""How the embedded model `starter` is made, from installable packages and pictures that are rendered here.

Not part of what is installed: `python -m training` runs it from a checkout, step after step. README.md tells what it
needs, what each step gives and what was tried.
"""
