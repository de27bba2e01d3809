"""Long work that pages start: each job is a command in a process of its own, with a record that outlives the server."""
