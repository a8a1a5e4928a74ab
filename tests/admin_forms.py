"""The admin's forms, as a browser would send them back."""

from html.parser import HTMLParser


class Fields(HTMLParser):
    """What a browser would send of a page's forms."""

    def __init__(self, html):
        super().__init__()
        self.data, self.inside = {}, None
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "input" and (given.get("type") not in ("checkbox", "submit") or "checked" in given):
            self.data[given.get("name")] = given.get("value", "")
        elif tag in ("select", "textarea"):
            self.inside = given["name"]
            self.data.setdefault(self.inside, "")
        elif tag == "option" and "selected" in given:
            self.data[self.inside] = given["value"]

    def handle_data(self, text):
        if self.inside and self.lasttag == "textarea":
            self.data[self.inside] = text.strip()

    def handle_endtag(self, tag):
        if tag in ("select", "textarea"):
            self.inside = None


def filled_in(client, url, **changes):
    return Fields(client.get(url).content.decode()).data | changes
