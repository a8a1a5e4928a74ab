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


class HiddenFields(HTMLParser):
    """What the form with this class would send: all its hidden fields, as often as they stand there."""

    def __init__(self, html, class_):
        super().__init__()
        self.wanted, self.inside, self.data = class_, False, {}
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "form":
            self.inside = given.get("class") == self.wanted
        elif tag == "input" and self.inside:
            self.data.setdefault(given["name"], []).append(given.get("value", ""))

    def handle_endtag(self, tag):
        if tag == "form":
            self.inside = False


def act(client, url, action, rows, **more):
    """Choose the rows and the action, and press the button of the page that asks. Returns what comes then."""
    chosen = {"action": action, "_selected_action": [row.pk for row in rows], "index": "0"} | more
    asked = client.post(url, chosen)
    if asked.status_code != 200:  # it was refused at once
        return client.get(url)
    fields = HiddenFields(asked.content.decode(), "sure").data
    return client.post(url, fields, follow=True)
