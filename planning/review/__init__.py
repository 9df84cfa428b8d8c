"""What a pull request's preview means, for the people who approve it."""
