"""The sentences of a page in Markdown, as a reader meets them."""

import re

NO_PROSE = ("|", "#", "![", ":::", "--8<--")


def prose(text):
    """Paragraphs and items of lists, without code, tables, headings and HTML; code within a sentence is one word."""
    text = re.sub(r"^( *)(`{3,}|~{3,}).*?^\1\2", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"<!--.*?-->|<[^>\n]+>", "", text, flags=re.DOTALL)
    paragraphs, after_blank, in_code = [[]], True, False
    for line in text.splitlines():
        in_code = line.startswith("    ") and (after_blank or in_code)
        after_blank = not line.strip()
        item = re.match(r"\s*(?:[-*]|\d+\.) (.*)", line)
        if after_blank or in_code or line.startswith(NO_PROSE):
            paragraphs.append([])
        elif item:
            paragraphs.append([item[1]])
        else:
            paragraphs[-1].append(line.strip())
    whole = [" ".join(lines) for lines in paragraphs if lines]
    return [re.sub(r"`[^`]+`", "code", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", one)) for one in whole]


def sentences(text):
    """The sentences of a page, each a list of words; scraps of less than three are none."""
    found = [one for paragraph in prose(text) for one in re.split(r"(?<=[.!?])[\"*)]*\s+", paragraph)]
    words = [re.findall(r"[^\s–—-][^\s–—]*", one) for one in found]
    return [one for one in words if len(one) > 2]


def mean_length(text):
    """Words in a sentence, on average."""
    found = sentences(text)
    return sum(map(len, found)) / max(1, len(found))
