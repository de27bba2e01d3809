"""The pages and the API of `aliens serve`, on the façade: knows no SQL, no model and no command."""
