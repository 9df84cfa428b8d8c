"""A byte-level tokenizer without merges: a token for each byte, four special ones, and words for a model to say."""

SPECIAL = ("<bos>", "<eos>", "<user>", "<assistant>")
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}<user>{{ message['content'] }}"
    "{% elif message['role'] == 'assistant' %}<assistant>{{ message['content'] }}{{ eos_token }}"
    "{% else %}{{ message['content'] }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


def byte_alphabet() -> list[str]:
    """Return the character for each byte, as GPT-2 has it: itself if Latin-1 prints it, else from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (chr(0x100 + number) for number in range(256))
    return [chr(byte) if byte in printable else next(others) for byte in range(256)]


ALPHABET = byte_alphabet()
VOCABULARY = """
air all and are before being bird blue bread bright but clear cloud day deep dream earth every far field fire forest
garden gold green hand hill home hope house in is it lake leaf light long moon morning never night of old or quiet rain
river road salt sea silver slow small snow song star stone sun the tree two under water white wind winter with word
"""
WORDS = tuple(ALPHABET[ord(" ")] + word for word in VOCABULARY.split())
"""Never read, as no merge leads to them: text is read byte by byte. Each begins with a space."""
TOKENS = (*SPECIAL, *ALPHABET, *WORDS)


def special(number: int) -> dict[str, object]:
    """Return the tokenizer's entry for a token that is no text."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": number, "content": SPECIAL[number], **flags}


def tokenizer() -> dict[str, object]:
    """Return the content of tokenizer.json."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    model: dict[str, object] = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "vocab": {token: number for number, token in enumerate(TOKENS)},
        "merges": [],
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [special(number) for number in range(len(SPECIAL))],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": model,
    }


def tokenizer_config(context: int) -> dict[str, object]:
    """Return the content of tokenizer_config.json for a model of `context` tokens."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
