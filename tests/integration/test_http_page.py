"""docs/http.md has every route of the table, with its message and whom it acts for, and no other."""
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r'^\t\{ "([A-Z]+)", +"([^"]+)", +(MSG_\w+), +\w+, +([\w| ]+?), +\w+ \},$', re.M)
WHO = {frozenset(): "–", frozenset({"ROUTE_OPEN"}): "open",
       frozenset({"PERSON"}): "person",
       frozenset({"ROUTE_OPEN", "ROUTE_ACTS"}): "open; person, may be nobody",
       frozenset({"ACTS_OR_NAMES"}): "person or named", frozenset({"ROUTE_NAMES"}): "named or person"}
SILENT = {"0", "ROUTE_BODY", "ROUTE_VITAL", "ROUTE_ISSUES", "ROUTE_WAITS"}  # not about who


def methods():
    """MSG_NAME -> the method's name."""
    text = "".join((ROOT / "proto" / name).read_text()
                   for name in ("messages.def", "accounts.def", "applications.def"))
    return {f"MSG_{name}": method for name, method in re.findall(r'^CALL\((\w+), "([^"]+)"', text, re.M)}


def routes():
    text = (ROOT / "gateway/routes.c").read_text()
    rows = ROW.findall(text)
    assert len(rows) == len(re.findall(r'^\t\{ "', text, re.M)), "a row that the test cannot read"
    names = methods()
    return {f"{verb} {path}": (WHO[frozenset(re.split(r" \| ", flags)) - SILENT], names[message])
            for verb, path, message, flags in rows}


def described():
    rows = re.findall(r"^\| `([A-Z]+ [^`]+)` \| ([^|]+) \| `([^`]+)` \|", (ROOT / "docs/http.md").read_text(),
                      re.M)
    assert len(rows) == len({route for route, _, _ in rows}), "a route that is described twice"
    return {route: (who, method) for route, who, method in rows}


def test_the_page_says_what_the_table_says():
    assert described() == routes()
