"""HTTP between the pods of a cluster."""

import socket
import threading
from collections.abc import Iterator

import direct_http
import pytest

CUT = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 100\r\n\r\nthe engine"


@pytest.fixture
def url_of_one_that_ends() -> Iterator[str]:
    """A server that ends in the middle of an answer that says an error."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(CUT)

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


def test_an_error_whose_text_is_cut_is_no_answer(url_of_one_that_ends: str) -> None:
    with pytest.raises(direct_http.NoAnswer, match="HTTP 500: the engine") as caught:
        direct_http.fetch("GET", url_of_one_that_ends, timeout=10)
    assert caught.value.status == 500
