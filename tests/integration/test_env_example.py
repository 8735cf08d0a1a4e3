"""`.env.example` has every setting of base/settings.def, with its help and its default, and no other."""
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r'^SETTING\((\w+), \w+, (NULL|"[^"]*"), [^,]+, [^,]+, (\w+), "(.*)"\)$', re.M)


def settings():
    """(name, default, help) of each setting, in the order of the table."""
    table = (ROOT / "base/settings.def").read_text()
    rows = ROW.findall(table)
    assert len(rows) == len(re.findall(r"^SETTING\(", table, re.M)), "a row that the test cannot read"
    return [(name, "" if default == "NULL" else default.strip('"'),
             text + (" (secret)" if flags == "SECRET" else "")) for name, default, flags, text in rows]


def examples():
    found = re.findall(r"^# (.+)\n#(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.M)
    return [(name, value.strip('"'), text) for text, name, value in found]


def test_every_setting_stands_there_with_its_help_and_default():
    assert examples() == settings()


def test_a_copy_of_it_changes_nothing():
    lines = (ROOT / ".env.example").read_text().splitlines()
    assert all(line == "" or line.startswith("#") for line in lines)
