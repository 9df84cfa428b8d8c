"""What clients may send in place of a key, and how the right key may be written: for every lock before the model."""

KEY = "sk-0123456789abcdef"
OTHER = "sk-fedcba9876543210"

RIGHT_HEADERS = (f"Bearer {KEY}", f"bearer {KEY}", f"Bearer  {KEY} ")

WRONG_HEADERS = (
    *(b"", b"Bearer", b"Bearer ", b"Bearer \xff", b"Bearer\t" + KEY.encode()),
    *(text.encode() for text in (KEY, f"Bearer {OTHER}", f"Basic {KEY}", f"Bearer {KEY}1", f"Bearer {KEY[:-1]}")),
    f"Bearer {KEY}, Bearer {KEY}".encode(),
)

SECOND_HEADERS = (f"Bearer {KEY}", f"Bearer {OTHER}", "Basic eDp5", "")
"""Beside the right one, before it or after it."""
