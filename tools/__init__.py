"""Tools of the repository itself, such as the generator of the reference documentation."""
