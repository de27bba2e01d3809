"""Pages and their fragments, as HTML; full pages and fragments have addresses of their own."""
