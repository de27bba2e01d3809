"""Metadata in SQL: what photos, hotels and chains there are, and where each photo's vector lies. No arrays."""
