"""What is wrong with a repository's files."""


class BadRepository(Exception):
    """A file that cannot be believed: the file, the field in it, what was found and what would be right."""

    def __init__(self, file: str, field: str, found: str, right: str) -> None:
        """Keep the file for programs; the text is for people."""
        super().__init__(f"{file}: {field}: {found}; right is {right}")
        self.file = file
        self.field = field
